package plan

import (
	"fmt"

	"github.com/gsc-project/gsc/kernels"
)

// codecRows say how gradients are coded, and what that saves.
func (p *Plan) codecRows() [][2]string {
	gradients, numbers, bytes, codeBytes, words := 0, 0, int64(0), int64(0), ""
	for i := range p.Stages {
		st := &p.Stages[i]
		for k := range st.Programs {
			for j := range st.Programs[k].Instructions {
				in := &st.Programs[k].Instructions[j]
				if in.Op != kernels.Encode && in.Op != kernels.PluginEncode {
					continue
				}
				args, code := st.Tensors(in), kernels.Contracts[in.Op].Param("code")
				gradients, numbers, words = gradients+1, numbers+args[0].Len(), codecWords(in.Attrs)
				bytes += int64(args[0].Len()) * int64(args[0].DType.Size())
				codeBytes += int64(args[code].Len()) * int64(args[code].DType.Size())
			}
		}
	}
	if gradients == 0 {
		return nil
	}
	text := fmt.Sprintf("%s: %s of %s numbers as codes of %s, %.3g times fewer bytes", words, plural(gradients, "gradient"), FormatCount(float64(numbers)), FormatBytes(codeBytes), float64(bytes)/float64(codeBytes))
	if n := int64(p.RowRanks()); n > 1 && len(p.Stages) == 1 {
		text += fmt.Sprintf("; a rank sends %s of them a step, where adding gradients up would send %s", FormatBytes(codeBytes*(n-1)), FormatBytes(2*bytes*(n-1)/n))
	}
	if n := p.Training.Uncoded; n > 0 {
		text += fmt.Sprintf("; the first %s add them up", plural(int(n), "step"))
	}
	return [][2]string{{"gradients", text}}
}

// codecWords names a codec.
func codecWords(a kernels.Attrs) string {
	switch {
	case a.Plugin != "":
		return a.Plugin
	case a.Kind == kernels.TopK:
		return fmt.Sprintf("%s, share %g", a.Kind, a.Share)
	}
	return a.Kind
}
