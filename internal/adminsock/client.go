package adminsock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
)

// ErrNobody says that no server answers at the socket. Nothing was sent.
var ErrNobody = errors.New("no server answers at the socket")

// Run has the server at the socket run a command. Errors: ErrNobody; any other
// error means that somebody is there and the command may or may not have run.
func Run(ctx context.Context, path string, c Command) (Result, error) {
	result, err := run(ctx, path, c)
	if err != nil {
		return Result{}, fmt.Errorf("admin socket %s: %w", path, err)
	}
	return result, nil
}

func run(ctx context.Context, path string, c Command) (Result, error) {
	conn, err := dial(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return Result{}, ErrNobody
	case err != nil:
		return Result{}, err
	}
	defer conn.Close()
	if err := checkServer(conn, path); err != nil {
		return Result{}, err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return Result{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gatehouse"+commandPath, bytes.NewReader(body))
	if err != nil {
		return Result{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}
	resp, err := transport.RoundTrip(req)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return Result{}, fmt.Errorf("the server hung up; only its own user and root may give it commands: %w", err)
	}
	if err != nil {
		return Result{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResult))
	if err != nil {
		return Result{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return Result{}, fmt.Errorf("the server answers %s: %s", resp.Status, bytes.TrimSpace(answer))
	}
	var result Result
	if err := json.Unmarshal(answer, &result); err != nil {
		return Result{}, fmt.Errorf("read the server's answer: %w", err)
	}
	return result, nil
}

// checkServer refuses a server that is not ours: a command may hold a password,
// and whoever can make the socket can listen at it.
func checkServer(conn *net.UnixConn, path string) error {
	owner, err := checkDirectory(filepath.Dir(path))
	if err != nil {
		return err
	}
	uid, err := peer(conn)
	if err != nil {
		return err
	}
	if uid != owner && !mayCommand(uid) {
		return fmt.Errorf("it belongs to another user's program (uid %d)", uid)
	}
	return nil
}

func dial(ctx context.Context, path string) (*net.UnixConn, error) {
	name, done, err := address(path)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", name)
	if err != nil {
		return nil, err
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("not a Unix socket")
	}
	return unixConn, nil
}
