package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/renameio/v2"
)

// pending begins a file that takes its place only when all of it is written.
func pending(path string) (*renameio.PendingFile, error) {
	file, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o666))
	if err != nil {
		var reason *os.PathError
		if errors.As(err, &reason) {
			err = reason.Err // its path is that of a file beside
		}
		return nil, fmt.Errorf("%s cannot be written: %w", path, err)
	}
	return file, nil
}

// writable says so before work is done for a file that cannot be written.
func writable(path string) error {
	file, err := pending(path)
	if err != nil {
		return err
	}
	return file.Cleanup()
}

// writeFile replaces a file by a text.
func writeFile(path, text string) error {
	file, err := pending(path)
	if err != nil {
		return err
	}
	if _, err = file.WriteString(text); err == nil {
		err = file.CloseAtomicallyReplace()
	}
	return errors.Join(err, file.Cleanup())
}
