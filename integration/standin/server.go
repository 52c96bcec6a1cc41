package standin

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ServerConfig says where and how a stand-in listens.
type ServerConfig struct {
	Addr        string        // default "127.0.0.1:0"; anything but loopback is refused
	ContextPath string        // as "/uaa"; default none
	Latency     time.Duration // added to every call
	Faults      *Faults       // default none
	Logger      *slog.Logger  // one line per call, at debug; default none
}

// Server is a stand-in's listener. It exists before its handler, since what the
// handler says of itself contains the address.
type Server struct {
	cfg      ServerConfig
	listener net.Listener
	http     *http.Server
	done     chan struct{} // closed when closing begins
	served   chan struct{} // closed when the accepting goroutine has ended

	mu      sync.Mutex
	started bool
	closing bool
	running sync.WaitGroup // requests being handled
}

// Listen takes the address; connections wait until Serve.
func Listen(cfg ServerConfig) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Faults == nil {
		cfg.Faults = &Faults{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listening for a stand-in: %w", err)
	}
	return &Server{
		cfg:      cfg,
		listener: listener,
		done:     make(chan struct{}),
		served:   make(chan struct{}),
	}, nil
}

func (c ServerConfig) validate() error {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return fmt.Errorf("address of a stand-in: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("address of a stand-in: %q is not loopback, and its secrets are for show", c.Addr)
	}
	if c.ContextPath != "" && (!strings.HasPrefix(c.ContextPath, "/") || strings.HasSuffix(c.ContextPath, "/")) {
		return fmt.Errorf("context path of a stand-in: %q must begin with a slash and not end with one", c.ContextPath)
	}
	return nil
}

// URL is the base of all calls, with the context path and without a slash at its end.
func (s *Server) URL() string {
	return "http://" + s.listener.Addr().String() + s.cfg.ContextPath
}

// Serve begins to answer with the handler, which sees paths without the context
// path. It returns at once, and is called once.
func (s *Server) Serve(handler http.Handler) {
	s.http = &http.Server{
		Handler:           s.track(s.slowed(s.stripped(s.cfg.Faults.Wrap(handler)))),
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelWarn),
	}
	s.mu.Lock()
	s.started = true
	s.mu.Unlock()

	go func() {
		defer close(s.served)
		if err := s.http.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Logger.Error("stand-in ended", "error", err)
		}
	}()
}

// Close cuts all connections, releases what is held and returns once nothing runs.
// It may be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	started, again := s.started, s.closing
	s.closing = true
	s.mu.Unlock()

	if !again {
		close(s.done)
		s.cfg.Faults.close()
		_ = s.listener.Close()
	}
	if !started {
		return
	}
	_ = s.http.Close()
	<-s.served
	s.running.Wait()
}

// track lets Close wait for every request, the dropped ones too: net/http forgets
// a connection that was hijacked.
func (s *Server) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.closing {
			s.mu.Unlock()
			drop(w)
			return
		}
		s.running.Add(1)
		s.mu.Unlock()
		defer s.running.Done()

		seen := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		s.cfg.Logger.Debug("stand-in called", "method", r.Method, "path", r.URL.Path, "status", seen.status)
	})
}

// statusWriter remembers the status for the log; 0 is a reply that was lost.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *Server) slowed(next http.Handler) http.Handler {
	if s.cfg.Latency <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, _, whole := receive(r)
		if !whole {
			drop(w)
			return
		}
		timer := time.NewTimer(s.cfg.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
			next.ServeHTTP(w, r)
		case <-s.done:
			drop(w)
		}
	})
}

// stripped takes the context path away, before the faults see the request: a
// rule is the same for every context path.
func (s *Server) stripped(next http.Handler) http.Handler {
	if s.cfg.ContextPath == "" {
		return next
	}
	outside := http.StripPrefix(s.cfg.ContextPath, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != s.cfg.ContextPath && !strings.HasPrefix(r.URL.Path, s.cfg.ContextPath+"/") {
			http.NotFound(w, r)
			return
		}
		outside.ServeHTTP(w, r)
	})
}
