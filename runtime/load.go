package runtime

import (
	"errors"
	"fmt"
	"io"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/checkpoint"
)

// Start gives the tensors their starting values: those of the plan's model
// folder, or initial ones; and the loss scale its.
func (m *Machine) Start() error {
	m.SetScaler(Scaler{Scale: m.Plan.Training.LossScale.Initial})
	if err := m.Initialise(plan.State); err != nil {
		return err
	}
	if err := m.loadTeacher(); err != nil {
		return err
	}
	if m.Plan.Model.From == "" {
		if err := m.eachWeight(m.initialise); err != nil {
			return err
		}
		return m.startMasters()
	}
	folder, err := checkpoint.OpenModel(m.Plan.Model.From, m.weights(), checkpoint.Buffers)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := m.eachWeight(func(t *plan.Tensor) error { return folder.Read(t, m.runs(t), m.place(t)) }); err != nil {
		return err
	}
	return m.startMasters()
}

// Load takes every tensor from a checkpoint.
func (m *Machine) Load(saved *checkpoint.Saved) error {
	if err := saved.Check(m.Plan.Tensors); err != nil {
		return err
	}
	for i := range m.Plan.Tensors {
		t := m.kept(&m.Plan.Tensors[i])
		if t == nil || !checkpoint.Saves(t) {
			continue
		}
		var err error
		if t.Terms && saved.Terms(t.Name) != t.Dims[0].Size {
			err = m.loadTerms(saved, t, saved.Terms(t.Name))
		} else {
			err = saved.ReadRuns(t.Name, m.runs(t), m.place(t))
		}
		if err != nil {
			return err
		}
	}
	return m.loadTeacher()
}

// loadTeacher reads the teacher's weights from their folder, where there is one.
func (m *Machine) loadTeacher() error {
	list := checkpoint.Teacher(m.Plan)
	if len(list) == 0 {
		return nil
	}
	folder, err := checkpoint.OpenModel(m.Plan.Model.Teacher.From, list, checkpoint.Buffers)
	if err != nil {
		return fmt.Errorf("the teacher: %w", err)
	}
	defer folder.Close()
	for i := range list {
		t := &list[i]
		if own := m.kept(t); own != nil {
			if err := folder.Read(own, m.runs(own), m.place(own)); err != nil {
				return err
			}
		}
	}
	return nil
}

// number is that of the machine's stage.
func (m *Machine) number() int { return m.Plan.StageOf(m.rank.Number) }

// kept is a tensor as the machine's stage keeps it: with the buffer that it has there; nil where the stage has none of it.
func (m *Machine) kept(t *plan.Tensor) *plan.Tensor {
	id, ok := t.In(m.number())
	switch {
	case !ok:
		return nil
	case t.Stage == m.number():
		return t
	}
	own := *t
	own.Buffer = id
	return &own
}

// LoadWeights takes the weights alone from a checkpoint, which must hold all the tensors of the plan that it is of.
func (m *Machine) LoadWeights(saved *checkpoint.Saved, of *plan.Plan) error {
	if err := errors.Join(saved.CheckPins(m.Plan), saved.Check(of.Tensors)); err != nil {
		return err
	}
	if err := m.loadTeacher(); err != nil {
		return err
	}
	return m.eachWeight(func(t *plan.Tensor) error { return saved.ReadRuns(t.Name, m.runs(t), m.place(t)) })
}

// eachWeight calls fill for every weight of the model: for those that are kept as they are stored, and then for those that
// are loaded to compute others of them, which is done at once, since the next is loaded in the same place.
func (m *Machine) eachWeight(fill func(t *plan.Tensor) error) error {
	for i := range m.Plan.Tensors {
		if t := m.kept(&m.Plan.Tensors[i]); t != nil && t.Class == plan.Weight && t.Of == "" {
			if err := fill(t); err != nil {
				return err
			}
		}
	}
	for _, program := range m.loading() {
		for _, port := range m.stage.Program(program).Inputs {
			if err := fill(m.loaded(port)); err != nil {
				return err
			}
		}
		if err := m.Run(program, 0); err != nil {
			return err
		}
	}
	return nil
}

// weights describes every weight of the model.
func (m *Machine) weights() []plan.Tensor {
	var list []plan.Tensor
	for _, t := range m.Plan.Tensors {
		if t.Class == plan.Weight && t.Of == "" {
			list = append(list, t)
		}
	}
	for _, program := range m.loading() {
		for _, port := range m.stage.Program(program).Inputs {
			list = append(list, *m.loaded(port))
		}
	}
	return list
}

// loading lists the programs that load weights.
func (m *Machine) loading() []string {
	var list []string
	if schedule := m.stage.Schedule(plan.Load, 0); schedule != nil {
		for _, c := range schedule.Calls {
			list = append(list, c.Program)
		}
	}
	return list
}

// loaded describes the weight that is an input of a program that loads, by what is computed of it.
func (m *Machine) loaded(port plan.Port) *plan.Tensor {
	b := &m.stage.Buffers[port.Buffer]
	t := &plan.Tensor{Name: port.Name, Class: plan.Weight, Dims: b.Dims, DType: b.DType, Buffer: b.ID}
	for _, of := range m.Plan.Tensors {
		if of.Class == plan.Weight && of.Of == port.Name {
			t.Init, t.Pos = of.Init, of.Pos
		}
		if of.Class == plan.Weight && of.Of == port.Name && of.Stored != nil {
			t.Stored = of.Stored
		}
	}
	return t
}

// runs are the elements of a tensor that the rank keeps.
func (m *Machine) runs(t *plan.Tensor) []plan.Run { return m.Plan.Runs(t, m.rank.Number) }

// place is a tensor's bytes in its arena, to be written.
func (m *Machine) place(t *plan.Tensor) io.WriterAt {
	b := &m.stage.Buffers[t.Buffer]
	return io.NewOffsetWriter(m.memories[b.Space], b.Offset)
}
