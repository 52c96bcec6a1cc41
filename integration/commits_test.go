package integration

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// commits stands between a broker and Postgres and sees every COMMIT go by of a
// transaction that decides something, so that a test can act just before one is
// made or just after, without a hook in the broker.
type commits struct {
	listener net.Listener
	network  string
	address  string
	done     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	// next is what happens at the commit that is awaited; nil: nothing is.
	next *atCommit
}

// atCommit is what happens at a commit.
type atCommit struct {
	skip  int  // commits that pass first
	after bool // it is made and its reply is lost; else it is never made
	act   func()
}

// newCommits listens on loopback and gives the URL for the broker.
func newCommits(t *testing.T, database string) (*commits, string) {
	t.Helper()
	config, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	c := &commits{conns: map[net.Conn]bool{}, network: "tcp", address: net.JoinHostPort(config.Host, fmt.Sprint(config.Port))}
	if strings.HasPrefix(config.Host, "/") {
		c.network, c.address = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", config.Host, config.Port)
	}
	if c.listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	c.done.Go(c.accept)
	t.Cleanup(c.close)
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(config.User, config.Password),
		Host: c.listener.Addr().String(), Path: config.Database, RawQuery: "sslmode=disable",
	}
	return c, u.String()
}

// at arranges for something to happen at one of the next commits.
func (c *commits) at(next atCommit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = &next
}

func (c *commits) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(c.network, c.address)
		if err != nil {
			client.Close()
			continue
		}
		c.mu.Lock()
		c.conns[client], c.conns[server] = true, true
		c.mu.Unlock()
		link := &link{commits: c, client: client, server: server}
		c.done.Go(link.requests)
		c.done.Go(link.replies)
	}
}

func (c *commits) close() {
	c.listener.Close()
	c.mu.Lock()
	for conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.done.Wait()
}

// link is one connection of a broker to Postgres.
type link struct {
	*commits
	client, server net.Conn
	mu             sync.Mutex
	awaited        func() // to be called when the reply to a commit arrives
}

func (l *link) end() { l.client.Close(); l.server.Close() }

// requests passes on what the broker sends. The first message has no type byte.
func (l *link) requests() {
	defer l.end()
	if err := pass(l.client, l.server, 0, nil); err != nil {
		return
	}
	decides := false // the transaction under way is one of Within
	for {
		err := pass(l.client, l.server, 1, func(kind byte, body []byte) error {
			statement := strings.ToLower(strings.TrimRight(string(body), "\x00"))
			if kind == 'Q' && strings.HasPrefix(statement, "begin") {
				decides = strings.Contains(statement, "set local")
			}
			if kind != 'Q' || statement != "commit" || !decides {
				return nil
			}
			next := l.taken()
			if next == nil {
				return nil
			}
			if next.after {
				l.mu.Lock()
				l.awaited = next.act
				l.mu.Unlock()
				return nil
			}
			next.act()
			return errCut
		})
		if err != nil {
			return
		}
	}
}

// taken gives what is to happen at this commit.
func (c *commits) taken() *atCommit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		return nil
	}
	if c.next.skip > 0 {
		c.next.skip--
		return nil
	}
	next := c.next
	c.next = nil
	return next
}

func (l *link) replies() {
	defer l.end()
	for {
		err := pass(l.server, l.client, 1, func(kind byte, body []byte) error {
			if kind != 'C' || !bytes.HasPrefix(body, []byte("COMMIT")) {
				return nil
			}
			l.mu.Lock()
			act := l.awaited
			l.mu.Unlock()
			if act == nil {
				return nil
			}
			act()
			return errCut
		})
		if err != nil {
			return
		}
	}
}

var errCut = errors.New("cut here")

// pass reads one message and writes it on, unless look objects. typed is the
// number of bytes before the length.
func pass(from io.Reader, to io.Writer, typed int, look func(kind byte, body []byte) error) error {
	head := make([]byte, typed+4)
	if _, err := io.ReadFull(from, head); err != nil {
		return err
	}
	body := make([]byte, int(binary.BigEndian.Uint32(head[typed:]))-4)
	if _, err := io.ReadFull(from, body); err != nil {
		return err
	}
	if look != nil {
		if err := look(head[0], body); err != nil {
			return err
		}
	}
	_, err := to.Write(append(head, body...))
	return err
}
