package checkpoint

import (
	"errors"
	"io"
	"os"
	goruntime "runtime"
	"syscall"
)

// storage is all that saving does to a disk, so that tests can make any step of it fail.
type storage interface {
	create(path string) (output, error)
	reopen(path string) (parts, error)
	mkdir(path string) error
	rename(from, to string) error
	remove(path string) error // with all that is in it; no error where there is none
	sync(folder string) error // makes the names in a folder durable
}

// output is a file being written.
type output interface {
	io.Writer
	Sync() error
	Close() error
}

// parts is a file that several processes write parts of.
type parts interface {
	io.WriterAt
	Sync() error
	Close() error
}

// disk is the storage of the operating system.
type disk struct{}

func (disk) create(path string) (output, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (disk) reopen(path string) (parts, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (disk) mkdir(path string) error      { return os.Mkdir(path, 0o777) }
func (disk) rename(from, to string) error { return os.Rename(from, to) }
func (disk) remove(path string) error     { return os.RemoveAll(path) }

func (disk) sync(folder string) error {
	if goruntime.GOOS == "windows" { // folders cannot be synced there
		return nil
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) { // nor on some network file systems
		return nil
	}
	return err
}
