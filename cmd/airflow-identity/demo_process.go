package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// demoBroker is a broker as a process of its own, on a stage.
type demoBroker struct {
	stage  *stage
	url    string
	log    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// startBroker runs the program's serve and waits until it is ready.
func startBroker(ctx context.Context, s *stage, program, name string) (*demoBroker, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	b := &demoBroker{
		stage: s, url: "http://" + loopbackAddress(ports[0]),
		log: filepath.Join(s.folder, name+".log"), exited: make(chan struct{}),
	}
	log, err := os.OpenFile(b.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer log.Close()
	b.cmd = exec.Command(program, "serve")
	b.cmd.Stdout, b.cmd.Stderr = log, log
	diesWithParent(b.cmd)
	b.cmd.Env = append(os.Environ(), "LOG_LEVEL=debug")
	for key, value := range s.serving(fmt.Sprint(ports[0])) {
		b.cmd.Env = append(b.cmd.Env, key+"="+value)
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = b.cmd.Wait() // how it ends is the story's business
		close(b.exited)
	}()
	if err := b.awaitReady(ctx); err != nil {
		b.kill()
		return nil, fmt.Errorf("starting %s: %w (its log is %s)", name, err, b.log)
	}
	return b, nil
}

func (b *demoBroker) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return until(ctx, func() bool {
		status, _, err := b.call(ctx, http.MethodGet, "/readyz", nil)
		return err == nil && status == http.StatusOK
	})
}

// kill ends the process with SIGKILL: it has no chance to tidy up.
func (b *demoBroker) kill() {
	_ = b.cmd.Process.Kill() // it may be dead already
	<-b.exited
}

// stop ends it as the platform does.
func (b *demoBroker) stop() {
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	<-b.exited
}

// call asks as Cloud Controller does.
func (b *demoBroker) call(ctx context.Context, method, path string, body any) (int, map[string]any, error) {
	var text io.Reader
	if body != nil {
		marshalled, err := json.Marshal(body)
		if err != nil {
			return 0, nil, fmt.Errorf("writing a request: %w", err)
		}
		text = bytes.NewReader(marshalled)
	}
	request, err := http.NewRequestWithContext(ctx, method, b.url+path, text)
	if err != nil {
		return 0, nil, fmt.Errorf("writing a request: %w", err)
	}
	request.SetBasicAuth(b.stage.state.User, b.stage.state.Password)
	request.Header.Set("X-Broker-Api-Version", "2.15")
	request.Header.Set("Content-Type", "application/json")
	// {"user_id":"developer-1"}
	request.Header.Set("X-Broker-Api-Originating-Identity", "cloudfoundry eyJ1c2VyX2lkIjoiZGV2ZWxvcGVyLTEifQ==")
	return fetch(request)
}

// fetch gives the status and the JSON body of a response.
func fetch(request *http.Request) (int, map[string]any, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return 0, nil, fmt.Errorf("reading a response: %w", err)
	}
	var answer map[string]any
	_ = json.Unmarshal(read, &answer) // /readyz and some refusals have no JSON object
	return response.StatusCode, answer, nil
}

// until polls a condition that another process makes true.
func until(ctx context.Context, condition func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
