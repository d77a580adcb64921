package schematest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"

	"github.com/gsc-project/gsc/launch"
)

// published are the definitions, each by the module that publishes it.
var published = map[string]struct{ module, sum, file string }{
	"JobSet": {
		"sigs.k8s.io/jobset@v0.8.0", "h1:80cJcPld+IMdKFOqzEW4et3Y6lGAPcP8YmBZ+aiKGYA=",
		"config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml",
	},
	"MPIJob": {
		"github.com/kubeflow/mpi-operator@v0.6.0", "h1:RzzG03oyQIiHe/SH2k19N+Hp4QkxEsG2l9G1T7US+ys=",
		"manifests/base/kubeflow.org_mpijobs.yaml",
	},
}

// definition is one version of a custom resource.
type definition struct {
	version    string // as apiVersion names it
	structural *structuralschema.Structural
	validator  validation.SchemaValidator
}

func define(t *testing.T, kind string) *definition {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(download(t, kind), filepath.FromSlash(published[kind].file)))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		t.Fatal(err)
	}
	if len(crd.Spec.Versions) != 1 {
		t.Fatalf("%s has %d versions", kind, len(crd.Spec.Versions))
	}
	v := crd.Spec.Versions[0]
	var schema apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &schema, nil); err != nil {
		t.Fatal(err)
	}
	d := &definition{version: crd.Spec.Group + "/" + v.Name}
	if d.structural, err = structuralschema.NewStructural(&schema); err != nil {
		t.Fatal(err)
	}
	if d.validator, _, err = validation.NewSchemaValidator(&schema); err != nil {
		t.Fatal(err)
	}
	return d
}

// download finds the module that publishes a definition, or skips.
func download(t *testing.T, kind string) string {
	t.Helper()
	p := published[kind]
	cmd := exec.Command("go", "mod", "download", "-json", p.module)
	cmd.Dir = t.TempDir()
	out, failed := cmd.Output()
	var module struct{ Dir, Sum, Error string }
	if err := json.Unmarshal(out, &module); err != nil || module.Dir == "" {
		t.Skipf("SKIPPED the schema of %s: %s cannot be had: %v %s", kind, p.module, failed, module.Error)
	}
	if module.Sum != p.sum {
		t.Fatalf("%s has the sum %s, not %s", p.module, module.Sum, p.sum)
	}
	return module.Dir
}

// faults is what is wrong with a manifest: what the schema forbids, and keys that it lacks, which an API server would drop.
func (d *definition) faults(manifest []byte) []string {
	var object map[string]any
	if err := yaml.UnmarshalStrict(manifest, &object); err != nil {
		return []string{err.Error()}
	}
	var faults []string
	if object["apiVersion"] != d.version {
		faults = append(faults, fmt.Sprintf("apiVersion is %v, not %s", object["apiVersion"], d.version))
	}
	for _, err := range validation.ValidateCustomResource(nil, object, d.validator) {
		faults = append(faults, err.Error())
	}
	for _, path := range pruning.PruneWithOptions(object, d.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		faults = append(faults, "there is no "+path)
	}
	return faults
}

// jobs are a small one, and one with everything.
func jobs(t *testing.T, mpi bool) map[string][]byte {
	t.Helper()
	small := launch.Job{Name: "small", Command: []string{"gsc"}, Nodes: 1, PerNode: 1, MPI: mpi, Threads: 1, MemoryBytes: 1, Grace: time.Minute}
	large := launch.Job{
		Name: "Large_1.5", Command: []string{"gsc", "train", "it's $HOME: \"x\"\n"}, Environment: map[string]string{"A": "true", "B": "1"},
		Nodes: 4, PerNode: 8, MPI: mpi, Threads: 12, GPUs: 8, MemoryBytes: 1 << 40, Grace: time.Hour,
	}
	if !mpi {
		large.Nodes, large.PerNode = 1, 1
	}
	volumes := []launch.Volume{{Claim: "work", Mount: "/mnt/runs"}, {Claim: "data", Mount: "/data"}}
	all := map[string][]byte{}
	for name, k := range map[string]launch.Kubernetes{
		"least": {Image: "gsc", Volumes: volumes[:1]},
		"all": {Image: "example.org/gsc@sha256:0", Namespace: "lab", Queue: "night", Volumes: volumes, Folder: "/mnt/runs/gsc", Retries: 3,
			NodeSelector: map[string]string{"example.org/pool": "true"}},
	} {
		for _, j := range []launch.Job{small, large} {
			manifest, err := j.Manifest(k)
			if err != nil {
				t.Fatal(err)
			}
			all[j.Name+"/"+name] = manifest
		}
	}
	return all
}

func TestManifestsFollowThePublishedSchemas(t *testing.T) {
	for kind := range published {
		d := define(t, kind)
		for name, manifest := range jobs(t, kind == "MPIJob") {
			for _, fault := range d.faults(manifest) {
				t.Errorf("%s %s: %s\n%s", kind, name, fault, manifest)
			}
		}
	}
}

// Whichever key of a manifest is misspelt, and whichever value is of another type, is found: the test above can fail.
func TestSchemasRefuse(t *testing.T) {
	for kind := range published {
		d, refused := define(t, kind), 0
		manifest := jobs(t, kind == "MPIJob")["Large_1.5/all"]
		lines := strings.SplitAfter(string(manifest), "\n")
		for i := range lines {
			for _, wrong := range spoilt(lines, i) {
				refused++
				mutant := strings.Join(lines[:i], "") + wrong + strings.Join(lines[i+1:], "")
				if len(d.faults([]byte(mutant))) == 0 {
					t.Errorf("%s: %q may stand for %q", kind, wrong, lines[i])
				}
			}
		}
		if refused < 60 {
			t.Errorf("%s: only %d mutants", kind, refused)
		}
	}
}

// spoilt is a line with its key misspelt, and with a value of another type, where the schema knows the key or the type.
func spoilt(lines []string, i int) []string {
	key, value, ok := strings.Cut(lines[i], ":")
	above := parents(lines, i)
	if !ok || strings.HasPrefix(key, "#") || strings.Contains(key, `"`) || slices.Contains(above, "metadata") {
		return nil // of metadata the API server knows more than its schema
	}
	var wrong []string
	if strings.TrimSpace(value) != "" {
		wrong = append(wrong, key+": {zz: [1]}\n")
	}
	if len(above) > 0 && slices.Contains([]string{"nodeSelector", "requests", "limits", "mpiReplicaSpecs"}, above[0]) {
		return wrong // keys are anybody's
	}
	return append(wrong, key+"x:"+value)
}

// parents are the keys above a line's, the nearest first.
func parents(lines []string, i int) []string {
	indent := func(line string) int { return len(line) - len(strings.TrimLeft(line, " -")) }
	var keys []string
	for at := indent(lines[i]); i >= 0; i-- {
		if in := indent(lines[i]); in < at {
			at = in
			keys = append(keys, strings.TrimSuffix(strings.TrimLeft(lines[i], " -"), ":\n"))
		}
	}
	return keys
}
