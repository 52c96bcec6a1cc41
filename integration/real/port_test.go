//go:build unix

package real

import (
	"context"
	"errors"
	"testing"
)

func TestLostPortIsNotTheEnd(t *testing.T) {
	t.Parallel()
	disk := errors.New("the disk is full")
	for name, test := range map[string]struct {
		ends  []error // of one start after the other
		want  error
		tries int
	}{
		"taken twice":     {[]error{errPortTaken, errPortTaken, nil}, nil, 3},
		"taken each time": {[]error{errPortTaken, errPortTaken, errPortTaken, nil}, errPortTaken, portTries},
		"something else":  {[]error{disk, nil}, disk, 1},
	} {
		tries := 0
		_, err := onFreePort(t.Context(), "config", func(context.Context, string) (int, error) {
			tries++
			return tries, test.ends[tries-1]
		})
		if !errors.Is(err, test.want) || tries != test.tries {
			t.Errorf("%s: got %v after %d tries, want %v after %d", name, err, tries, test.want, test.tries)
		}
	}
}
