package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// Snapshot is what a checkpoint holds.
type Snapshot struct {
	Step    int64             // updates done
	Plan    string            // digest of the plan that the run follows
	Best    bool              // the best so far by the run's own measure: kept until a better one comes
	Config  json.RawMessage   // config.json of the model folder
	Files   map[string][]byte // further files of the model folder, such as the tokenizer's
	Run     json.RawMessage   // what else the run must know to go on; not looked at here
	Pins    []Pin             // the plugins that the run calls
	Tensors []Tensor
}

// Pin is a plugin that a checkpoint was made with.
type Pin struct {
	Name   string `json:"name"`
	Digest string `json:"sha256"` // of the module, hexadecimal
}

// PinsOf are the plugins of a plan.
func PinsOf(p *plan.Plan) (list []Pin) {
	for i := range p.Plugins {
		list = append(list, Pin{p.Plugins[i].Name, p.Plugins[i].Digest})
	}
	return list
}

// Tensor is a logical tensor of a snapshot.
type Tensor struct {
	Name  string
	Class plan.Class // plan.Weight: into the model folder; plan.State: beside it
	Shape []int      // as it is stored
	DType kernels.DType
	Data  io.ReaderAt // its bytes, little-endian and row-major, from offset 0
	Runs  []plan.Run  // of its elements, where several processes save together: those that this one saves, and Data holds
}

// Saves says whether checkpoints hold a tensor of a plan: weights and the optimizer's state, not what a teacher is made of.
func Saves(t *plan.Tensor) bool { return t.Class == plan.Weight || t.Class == plan.State }

// TensorOf is a tensor of a plan as a snapshot holds it.
func TensorOf(t *plan.Tensor, data io.ReaderAt) Tensor {
	return Tensor{Name: t.Name, Class: t.Class, Shape: t.StoredShape(), DType: t.DType, Data: data}
}

// SizeBytes is the size of the tensor's data.
func (t *Tensor) SizeBytes() int64 {
	return int64(kernels.Elements(t.Shape)) * int64(t.DType.Size())
}

// info describes the tensor in the words of the file format.
func (t *Tensor) info() safetensors.Info {
	return safetensors.Info{Name: t.Name, DType: storedType(t.DType), Shape: t.Shape}
}

// storedType is the format's name of a type.
func storedType(d kernels.DType) string { return strings.ToUpper(d.String()) }

// check refuses a snapshot that could not be read back.
func (s *Snapshot) check() error {
	if s.Step < 0 {
		return fmt.Errorf("step %d is negative", s.Step)
	}
	seen := map[string]bool{}
	for i := range s.Tensors {
		t := &s.Tensors[i]
		switch {
		case seen[t.Name]:
			return fmt.Errorf("tensor %q comes twice", t.Name)
		case t.Class != plan.Weight && t.Class != plan.State:
			return fmt.Errorf("tensor %q is of class %q: neither a weight nor optimizer state", t.Name, t.Class)
		case t.Data == nil:
			return fmt.Errorf("tensor %q has no data", t.Name)
		}
		seen[t.Name] = true
	}
	return errors.Join(checkJSON("config", s.Config), checkJSON("run", s.Run), s.checkFiles())
}

func checkJSON(what string, text json.RawMessage) error {
	if text != nil && !json.Valid(text) {
		return fmt.Errorf("%s is not JSON", what)
	}
	return nil
}

// checkFiles refuses names that leave the folder or clash with its own files.
func (s *Snapshot) checkFiles() error {
	for name := range s.Files {
		if !filepath.IsLocal(name) || strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") {
			return fmt.Errorf("%q is not the name of a file in the folder", name)
		}
		if name == configFile || name == manifestFile || strings.Contains(name, ".safetensors") {
			return fmt.Errorf("file %q: the name is taken", name)
		}
	}
	return nil
}

// of is the tensors of a class.
func (s *Snapshot) of(class plan.Class) []Tensor {
	var list []Tensor
	for _, t := range s.Tensors {
		if t.Class == class {
			list = append(list, t)
		}
	}
	return list
}
