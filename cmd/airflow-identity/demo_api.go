package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// ordersAPI is the kind of service that DAGs call: it verifies tokens against the
// UAA of its own environment and knows nothing of the broker.
type ordersAPI struct {
	url    string
	server *http.Server
	served chan struct{}
}

// startOrdersAPI trusts one issuer. Zones of a UAA share signing keys, so it is
// the issuer that keeps environments apart.
func startOrdersAPI(ctx context.Context, issuer string) (*ordersAPI, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, fmt.Errorf("reading the discovery document of %s: %w", issuer, err)
	}
	// Signature, iss, aud and exp: all four, always.
	verifier := provider.VerifierContext(ctx, &oidc.Config{ClientID: "orders"})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", loopbackAddress(0))
	if err != nil {
		return nil, fmt.Errorf("starting the orders API: %w", err)
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		token, err := verifier.Verify(r.Context(), bearer)
		if err != nil {
			w.Header().Set("X-Why", strings.ReplaceAll(err.Error(), "\n", " "))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var claims struct{ Authorities []string }
		if err := token.Claims(&claims); err != nil || !slices.Contains(claims.Authorities, "orders.read") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintln(w, `{"orders":[17,18,19]}`)
	}
	a := &ordersAPI{
		url:    "http://" + listener.Addr().String() + "/orders",
		server: &http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: 5 * time.Second},
		served: make(chan struct{}),
	}
	go func() {
		_ = a.server.Serve(listener)
		close(a.served)
	}()
	return a, nil
}

func (a *ordersAPI) close() {
	_ = a.server.Close()
	<-a.served
}

// get asks for the orders with a token; why says what the API has against it.
func (a *ordersAPI) get(ctx context.Context, token string) (status int, why string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		return 0, "", fmt.Errorf("writing a request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	return response.StatusCode, response.Header.Get("X-Why"), nil
}
