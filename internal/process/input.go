package process

import (
	"io"
	"os"
)

// Input makes the file of a Command's Stdin, with done to end it. A pipe would end with this process, and a process that
// outlives it would take a part of the content, or none, as all of it. Where the system has no files without a name, it is
// made in the folder dir, and has none as soon as the system allows it.
func Input(content []byte, dir string) (f *os.File, done func(), err error) {
	f = nameless()
	done = func() { f.Close() }
	if f == nil {
		if f, done, err = temporary(dir); err != nil {
			return nil, nil, err
		}
	}
	if err = fill(f, content); err != nil {
		done()
	}
	return f, done, err
}

func fill(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return err
}

func temporary(dir string) (f *os.File, done func(), err error) {
	f, err = os.CreateTemp(dir, "stdin-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { f.Close() }
	if os.Remove(f.Name()) != nil {
		done = func() { f.Close(); os.Remove(f.Name()) }
	}
	return f, done, nil
}
