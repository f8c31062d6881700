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

// Run has the server at the socket run a command, passes on what it prints as
// it comes, and returns its exit code. Errors: ErrNobody; any other error means
// that somebody is there and the command may or may not have run.
func Run(ctx context.Context, path string, c Command, stdout, stderr io.Writer) (code int, err error) {
	code, err = run(ctx, path, c, stdout, stderr)
	if err != nil {
		return 0, fmt.Errorf("admin socket %s: %w", path, err)
	}
	return code, nil
}

func run(ctx context.Context, path string, c Command, stdout, stderr io.Writer) (int, error) {
	conn, err := dial(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return 0, ErrNobody
	case err != nil:
		return 0, err
	}
	defer conn.Close()
	if err := checkServer(conn, path); err != nil {
		return 0, err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gatehouse"+commandPath, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}
	resp, err := transport.RoundTrip(req)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return 0, fmt.Errorf("the server hung up; only its own user and root may give it commands: %w", err)
	}
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return 0, fmt.Errorf("the server answers %s: %s", resp.Status, bytes.TrimSpace(said))
	}
	answer := json.NewDecoder(resp.Body)
	for {
		var p piece
		if err := answer.Decode(&p); err != nil {
			// Also at its end: without a code nobody knows how the command ended.
			return 0, fmt.Errorf("the server's answer broke off: %w", err)
		}
		if _, err := stdout.Write(p.Stdout); err != nil {
			return 0, err
		}
		if _, err := stderr.Write(p.Stderr); err != nil {
			return 0, err
		}
		if p.Code != nil {
			return *p.Code, nil
		}
	}
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
