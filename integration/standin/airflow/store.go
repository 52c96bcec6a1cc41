package airflow

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Connection is a connection as the metastore has it, in clear text. What is not
// set is null there; an empty password is none.
type Connection struct {
	ConnectionID string `json:"connection_id"`
	ConnType     string `json:"conn_type"`
	Description  string `json:"description"`
	Host         string `json:"host"`
	Login        string `json:"login"`
	Schema       string `json:"schema"`
	Port         *int   `json:"port"`
	Password     string `json:"password"`
	Extra        string `json:"extra"`
	Team         string `json:"team_name,omitempty"`
}

type store struct {
	mu          sync.RWMutex
	connections map[string]Connection
	serials     map[string]int // of those that are there: the order in which they were made
	made        int
	creates     map[string]int
	updates     map[string]int
}

func newStore() *store {
	return &store{
		connections: map[string]Connection{}, serials: map[string]int{},
		creates: map[string]int{}, updates: map[string]int{},
	}
}

// row is a connection with its place in the order in which they were made.
type row struct {
	Connection
	serial int
}

// list gives all connections, in no order.
func (s *store) list() []row {
	s.mu.RLock()
	defer s.mu.RUnlock()

	rows := make([]row, 0, len(s.connections))
	for id, connection := range s.connections {
		rows = append(rows, row{connection, s.serials[id]})
	}
	return rows
}

func (s *store) get(id string) (Connection, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()

	connection, found := s.connections[id]
	return connection, found
}

// create adds a connection over the API; false if the id is taken. Ids that differ
// in case are different.
func (s *store) create(connection Connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	if _, taken := s.connections[connection.ConnectionID]; taken {
		return false
	}
	s.set(connection)
	s.creates[connection.ConnectionID]++
	return true
}

// update replaces a connection over the API by an altered one; false if there is none.
func (s *store) update(id string, alter func(Connection) Connection) (Connection, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	old, found := s.connections[id]
	if !found {
		return Connection{}, false
	}
	s.connections[id] = alter(old)
	s.updates[id]++
	return s.connections[id], true
}

func (s *store) put(connection Connection) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.set(connection)
}

// set makes or replaces a connection; the caller holds the lock.
func (s *store) set(connection Connection) {
	id := connection.ConnectionID
	if _, found := s.connections[id]; !found {
		s.made++
		s.serials[id] = s.made
	}
	s.connections[id] = connection
}

// edit alters a connection in its place; false if there is none.
func (s *store) edit(id string, change func(*Connection)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	connection, found := s.connections[id]
	if !found {
		return false
	}
	change(&connection)
	connection.ConnectionID = id // the UI cannot change it either
	s.connections[id] = connection
	return true
}

func (s *store) remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	_, found := s.connections[id]
	delete(s.connections, id)
	delete(s.serials, id)
	return found
}

// ConnectionIDs gives the ids of all connections, sorted.
func (s *Server) ConnectionIDs() []string {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()

	return slices.Sorted(maps.Keys(s.store.connections))
}

// Connection looks at a connection, in clear text.
func (s *Server) Connection(id string) (Connection, bool) { return s.store.get(id) }

// PutConnection makes or replaces a connection behind everybody's back, as somebody
// in Airflow's UI would.
func (s *Server) PutConnection(connection Connection) { s.store.put(connection) }

// EditConnection alters a connection behind everybody's back, in whatever the UI lets
// people change; false if there is none. It counts as no update.
func (s *Server) EditConnection(id string, change func(*Connection)) bool {
	return s.store.edit(id, change)
}

// RemoveConnection takes a connection away behind everybody's back; false if there
// is none.
func (s *Server) RemoveConnection(id string) bool { return s.store.remove(id) }

// Creates tells how often each id was created over the API in the server's life.
func (s *Server) Creates() map[string]int {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()

	return maps.Clone(s.store.creates)
}

// Updates tells how often each id was updated over the API, whether or not that
// changed anything. Refused updates do not count.
func (s *Server) Updates() map[string]int {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()

	return maps.Clone(s.store.updates)
}

type snapshot struct {
	Key         []byte                `json:"key"`
	Connections map[string]Connection `json:"connections"`
	Creates     map[string]int        `json:"creates"`
	Updates     map[string]int        `json:"updates,omitempty"`
	Serials     map[string]int        `json:"serials,omitempty"`
	Made        int                   `json:"made,omitempty"`
}

// Snapshot gives the whole state as JSON, for Config.Snapshot of a later server. It
// holds the passwords of the connections in clear.
func (s *Server) Snapshot() ([]byte, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()

	text, err := json.Marshal(snapshot{
		Key: *s.key.Load(), Connections: s.store.connections, Creates: s.store.creates, Updates: s.store.updates,
		Serials: s.store.serials, Made: s.store.made,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the state of the stand-in airflow: %w", err)
	}
	return text, nil
}

func (s *Server) restore(text []byte) error {
	if len(text) == 0 {
		return s.newKey()
	}
	var state snapshot
	if err := json.Unmarshal(text, &state); err != nil {
		return fmt.Errorf("reading the state of the stand-in airflow: %w", err)
	}
	s.key.Store(&state.Key)
	maps.Copy(s.store.connections, state.Connections)
	maps.Copy(s.store.creates, state.Creates)
	maps.Copy(s.store.updates, state.Updates)
	maps.Copy(s.store.serials, state.Serials)
	s.store.made = state.Made
	return nil
}

func (s *Server) newKey() error {
	key := make([]byte, 64)
	_, err := rand.Read(key)
	s.key.Store(&key)
	return err
}
