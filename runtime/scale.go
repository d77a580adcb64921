package runtime

import "github.com/gsc-project/gsc/compiler/plan"

// Scaler is the state of dynamic loss scaling after a step. The plan's instruction loss_scale changes it.
type Scaler struct {
	Scale   float64 `json:"scale"`
	Good    int64   `json:"good"`    // steps since it changed or a gradient was not finite
	Updates int64   `json:"updates"` // steps that changed weights
}

// Scaled says whether the plan's gradients are computed multiplied by a scale.
func (m *Machine) Scaled() bool { return m.Plan.Training.LossScale.Initial > 0 }

// Scaler reads the state of loss scaling, zero where the plan has none.
func (m *Machine) Scaler() Scaler {
	if !m.Scaled() {
		return Scaler{}
	}
	return Scaler{Scale: m.Real(plan.ScalarLossScale), Good: m.Counter(plan.ScalarGood), Updates: m.Counter(plan.ScalarUpdates)}
}

// SetScaler writes it; a plan without loss scaling needs none.
func (m *Machine) SetScaler(s Scaler) {
	m.SetReal(plan.ScalarLossScale, s.Scale)
	m.SetCounter(plan.ScalarGood, s.Good)
	m.SetCounter(plan.ScalarUpdates, s.Updates)
}
