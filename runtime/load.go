package runtime

import (
	"io"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/checkpoint"
)

// Start gives the tensors their starting values: those of the plan's model
// folder, or initial ones; and the loss scale its.
func (m *Machine) Start() error {
	m.SetScaler(Scaler{Scale: m.Plan.Training.LossScale.Initial})
	if m.Plan.Model.From == "" {
		return m.Initialise("")
	}
	if err := m.Initialise(plan.State); err != nil {
		return err
	}
	folder, err := checkpoint.OpenModel(m.Plan.Model.From, m.Plan.Tensors, checkpoint.Buffers)
	if err != nil {
		return err
	}
	defer folder.Close()
	for i := range m.Plan.Tensors {
		if t := &m.Plan.Tensors[i]; t.Class == plan.Weight {
			if err := folder.Read(t, m.place(t)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Load takes every tensor from a checkpoint.
func (m *Machine) Load(saved *checkpoint.Saved) error {
	if err := saved.Check(m.Plan.Tensors); err != nil {
		return err
	}
	for i := range m.Plan.Tensors {
		t := &m.Plan.Tensors[i]
		if err := saved.Read(t.Name, m.place(t)); err != nil {
			return err
		}
	}
	return nil
}

// place is a tensor's bytes in its arena, to be written.
func (m *Machine) place(t *plan.Tensor) io.WriterAt {
	b := &m.stage.Buffers[t.Buffer]
	return io.NewOffsetWriter(m.memories[b.Space], b.Offset)
}
