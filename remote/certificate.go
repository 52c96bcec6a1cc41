package remote

import (
	"crypto/x509"
	"errors"
	"fmt"
)

// certified adds to the error of a handshake what is to be done about it. Go says only
// what is wrong.
func certified(err error) error {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
	)
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: nobody who is trusted here vouches for it; set ca to the PEM file of the CA that signed it", err)
	case errors.As(err, &name):
		return fmt.Errorf("%w: use one of its names in the url, or give it the url's", err)
	default:
		return err
	}
}
