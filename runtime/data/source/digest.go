package source

import (
	"fmt"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
)

// Digest sets the size and digest of each file, for formats that [Scan] does not read.
func Digest(files []File) (errs Errors) {
	for i := range files {
		f := &files[i]
		if err := f.digest(); err != nil {
			errs.Add(f.Split.Path(), "", "%s: %s", f.Path, plain(err))
		}
	}
	return errs
}

func (f *File) digest() error {
	file, err := os.Open(f.Found)
	if err != nil {
		return err
	}
	defer file.Close()
	digest := xxhash.New()
	f.SizeBytes, err = io.Copy(digest, file)
	f.File.Digest = fmt.Sprintf("%016x", digest.Sum64())
	return err
}
