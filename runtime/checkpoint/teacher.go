package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
)

// Teacher are the weights of a plan's teacher, by the names that its folder has for them, as [OpenModel] takes them.
func Teacher(p *plan.Plan) (list []plan.Tensor) {
	for _, t := range p.Tensors {
		if t.Class == plan.Taught {
			t.Name, t.Class = strings.TrimPrefix(t.Name, plan.TeacherPrefix), plan.Weight
			list = append(list, t)
		}
	}
	return list
}

// DigestModel is the sha256 of the files of a model folder's weights, with their names in order: what plans pin a teacher by.
func DigestModel(folder string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.safetensors"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s holds no weights (*.safetensors)", folder)
	}
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	sum := sha256.New()
	for _, file := range files {
		if filepath.Base(file) == stateFile { // of the run that the model was trained in
			continue
		}
		fmt.Fprintf(sum, "%s\n", filepath.Base(file))
		if err := copyFile(sum, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func copyFile(to io.Writer, path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(to, f)
	return err
}
