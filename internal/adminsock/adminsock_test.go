package adminsock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// closed returns a directory as a server wants it.
func closed(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs a server that echoes commands.
func start(t *testing.T, path string) *Server {
	t.Helper()
	s := &Server{Log: slog.New(slog.DiscardHandler), Run: echo}
	if err := s.Listen(path); err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	return s
}

func serve(t *testing.T, s *Server) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func echo(_ context.Context, c Command, stdout, stderr io.Writer) int {
	_, _ = io.WriteString(stdout, strings.Join(c.Args, "|"))
	_, _ = stderr.Write(c.Stdin)
	return len(c.Args)
}

// result is how a command ended.
type result struct {
	Stdout, Stderr string
	Code           int
}

// ask is Run with what is printed kept.
func ask(ctx context.Context, path string, c Command) (result, error) {
	var stdout, stderr bytes.Buffer
	code, err := Run(ctx, path, c, &stdout, &stderr)
	return result{stdout.String(), stderr.String(), code}, err
}

func TestRun(t *testing.T) {
	path := filepath.Join(closed(t), "new", "s.sock")
	start(t, path)
	want := result{Stdout: "user|add|ä\nb", Stderr: "pass\xffword", Code: 3}
	got, err := ask(t.Context(), path, Command{Args: []string{"user", "add", "ä\nb"}, Stdin: []byte("pass\xffword")})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("result (-want +got):\n%s", d)
	}
	for name, want := range map[string]fs.FileMode{filepath.Dir(path): 0o700, path: 0o600} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, error %v, want %v", name, info.Mode(), err, want)
		}
	}
}

// What a command changes bears the name of who gave it, and the kernel says
// who that is.
func TestPeer(t *testing.T) {
	path := filepath.Join(closed(t), "s.sock")
	s := &Server{Log: slog.New(slog.DiscardHandler), Run: func(ctx context.Context, _ Command, stdout, _ io.Writer) int {
		uid, ok := Peer(ctx)
		_, _ = fmt.Fprint(stdout, uid, ok)
		return 0
	}}
	if err := s.Listen(path); err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	got, err := ask(t.Context(), path, Command{Args: []string{"x"}})
	if want := fmt.Sprint(os.Geteuid(), true); err != nil || got.Stdout != want {
		t.Errorf("peer %q, %v, want %q", got.Stdout, err, want)
	}
	if uid, ok := Peer(t.Context()); ok {
		t.Errorf("without a socket it is %d", uid)
	}
}

// A path beyond the 107 bytes of a socket address works like any other.
func TestLongPath(t *testing.T) {
	path := filepath.Join(closed(t), strings.Repeat("long", 40), "s.sock")
	start(t, path)
	if _, err := ask(t.Context(), path, Command{Args: []string{"x"}}); err != nil {
		t.Error(err)
	}
}

func TestNobody(t *testing.T) {
	dir := closed(t)
	stale := filepath.Join(dir, "stale")
	leaveStale(t, stale)
	for _, path := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "none", "s"), stale} {
		if _, err := ask(t.Context(), path, Command{}); !errors.Is(err, ErrNobody) {
			t.Errorf("%s: %v, want ErrNobody", filepath.Base(path), err)
		}
	}
}

// leaveStale leaves a socket as a killed server does.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(closed(t), "s.sock")
	leaveStale(t, path)
	start(t, path)
	if _, err := ask(t.Context(), path, Command{}); err != nil {
		t.Error(err)
	}
}

func TestLiveSocketStays(t *testing.T) {
	path := filepath.Join(closed(t), "s.sock")
	start(t, path)
	second := &Server{Log: slog.New(slog.DiscardHandler), Run: echo}
	if err := second.Listen(path); !errors.Is(err, ErrInUse) {
		t.Errorf("second server: %v, want ErrInUse", err)
	}
	if _, err := ask(t.Context(), path, Command{}); err != nil {
		t.Errorf("the first server afterwards: %v", err)
	}
}

// Two servers that start together on a stale socket must not remove each
// other's.
func TestRaceForAStaleSocket(t *testing.T) {
	path := filepath.Join(closed(t), "s.sock")
	leaveStale(t, path)
	var mu sync.Mutex
	var won []*Server
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s := &Server{Log: slog.New(slog.DiscardHandler), Run: echo}
			err := s.Listen(path)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, s)
			} else if !errors.Is(err, ErrInUse) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range won {
		serve(t, s)
	}
	if len(won) != 1 {
		t.Fatalf("%d of 8 servers hold the socket", len(won))
	}
	if _, err := ask(t.Context(), path, Command{}); err != nil {
		t.Error(err)
	}
}

func TestForeignFileStays(t *testing.T) {
	path := filepath.Join(closed(t), "s.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{Log: slog.New(slog.DiscardHandler)}
	if err := s.Listen(path); err == nil {
		t.Error("listens in place of a file")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "precious" {
		t.Errorf("the file: %q, %v", got, err)
	}
}

// Attack: make the socket first, or put another in its place, where others may
// write; the next `user set-password` sends its password there.
func TestOpenDirectoryIsRefused(t *testing.T) {
	for _, mode := range []fs.FileMode{0o770, 0o702, 0o777, 0o777 | fs.ModeSticky} {
		t.Run(mode.String(), func(t *testing.T) {
			dir := closed(t)
			path := filepath.Join(dir, "s.sock")
			start(t, path)
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
			s := &Server{Log: slog.New(slog.DiscardHandler)}
			if err := s.Listen(filepath.Join(dir, "other.sock")); err == nil {
				t.Error("the server listens there")
			}
			if _, err := ask(t.Context(), path, Command{}); err == nil || errors.Is(err, ErrNobody) {
				t.Errorf("the client: %v, want a refusal", err)
			}
		})
	}
}

// Attack: connect as another user of the machine, past the modes.
func TestForeignPeerIsRefused(t *testing.T) {
	path := filepath.Join(closed(t), "s.sock")
	var log bytes.Buffer
	ran := false
	s := &Server{
		Log: slog.New(slog.NewTextHandler(&log, nil)),
		Run: func(context.Context, Command, io.Writer, io.Writer) int { ran = true; return 0 },
	}
	if err := s.Listen(path); err != nil {
		t.Fatal(err)
	}
	var asked []uint32
	s.listener.admit = func(uid uint32) bool { asked = append(asked, uid); return false }
	serve(t, s)
	if _, err := ask(t.Context(), path, Command{}); err == nil || errors.Is(err, ErrNobody) {
		t.Errorf("refused peer: %v, want trouble", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ran {
		t.Error("its command ran")
	}
	if len(asked) == 0 || asked[0] != uint32(os.Geteuid()) {
		t.Errorf("peers %v, want our own uid", asked)
	}
	if !strings.Contains(log.String(), "refused") {
		t.Errorf("log: %q", log.String())
	}
}

func TestMayCommand(t *testing.T) {
	self := uint32(os.Geteuid())
	for uid, want := range map[uint32]bool{self: true, 0: true, self + 1000: false, 1<<32 - 1: false} {
		if got := mayCommand(uid); got != want {
			t.Errorf("mayCommand(%d) = %v, want %v", uid, got, want)
		}
	}
}

func TestBadRequests(t *testing.T) {
	path := filepath.Join(closed(t), "s.sock")
	start(t, path)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	tests := []struct {
		name, method, path, body string
		want                     int
	}{
		{"not JSON", "POST", commandPath, "args=user", 400},
		{"too large", "POST", commandPath, `{"stdin":"` + strings.Repeat("A", maxCommand) + `"}`, 400},
		{"other method", "GET", commandPath, "", 405},
		{"other path", "POST", "/v1/other", "{}", 404},
	}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://gatehouse"+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, resp.StatusCode, tt.want)
		}
	}
}

// A stop waits for a command that is under way, and takes the socket along.
func TestShutdown(t *testing.T) {
	path := filepath.Join(closed(t), "s.sock")
	began, finish := make(chan struct{}), make(chan struct{})
	s := &Server{Log: slog.New(slog.DiscardHandler), Run: func(context.Context, Command, io.Writer, io.Writer) int {
		close(began)
		<-finish
		return 7
	}}
	if err := s.Listen(path); err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	results := make(chan error, 1)
	go func() {
		r, err := ask(context.Background(), path, Command{})
		if err == nil && r.Code != 7 {
			err = errors.New("wrong result")
		}
		results <- err
	}()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	for { // until the door is shut
		if _, err := ask(t.Context(), path, Command{}); errors.Is(err, ErrNobody) {
			break
		}
	}
	close(finish)
	if err := <-results; err != nil {
		t.Errorf("the command under way: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// A server that stops late must not remove the socket of its successor.
func TestShutdownLeavesTheSuccessorsSocket(t *testing.T) {
	path := filepath.Join(closed(t), "s.sock")
	first := &Server{Log: slog.New(slog.DiscardHandler), Run: echo}
	if err := first.Listen(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	start(t, path)
	if err := first.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), path, Command{}); err != nil {
		t.Errorf("the successor: %v", err)
	}
}

// A server that accepts and says nothing must not hang the command for ever.
func TestRunEndsWithItsContext(t *testing.T) {
	path := filepath.Join(closed(t), "s.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ask(ctx, path, Command{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
}

// served runs a server whose one command is run.
func served(t *testing.T, run func(ctx context.Context, c Command, stdout, stderr io.Writer) int) (path string) {
	t.Helper()
	path = filepath.Join(closed(t), "s.sock")
	s := &Server{Log: slog.New(slog.DiscardHandler), Run: run}
	if err := s.Listen(path); err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	return path
}

// What a command prints comes through while it runs, however much it is: an
// export of a million accounts fits into no memory.
func TestPrintsAsItComes(t *testing.T) {
	const line, lines = "0123456789abcdef\n", 1 << 18 // 4 MiB
	seen := make(chan struct{})
	path := served(t, func(ctx context.Context, _ Command, stdout, stderr io.Writer) int {
		for range lines {
			if _, err := io.WriteString(stdout, line); err != nil {
				t.Error(err)
			}
		}
		select { // it goes on only when the other side has got some of it
		case <-seen:
		case <-ctx.Done():
			t.Error("nothing came through while the command ran")
		}
		_, _ = io.WriteString(stdout, "end\n")
		_, _ = io.WriteString(stderr, "said")
		return 3
	})
	var once sync.Once
	n := 0
	var said bytes.Buffer
	code, err := Run(t.Context(), path, Command{}, writerFunc(func(b []byte) (int, error) {
		if len(b) > 0 {
			once.Do(func() { close(seen) })
		}
		n += len(b)
		return len(b), nil
	}), &said)
	if err != nil || code != 3 || n != lines*len(line)+4 || said.String() != "said" {
		t.Errorf("code %d, %d bytes, said %q, %v", code, n, said.String(), err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// A command whose reader has gone is told to end: it must not run for hours
// for nobody.
func TestReaderThatGoesAway(t *testing.T) {
	ended := make(chan struct{})
	path := served(t, func(ctx context.Context, _ Command, stdout, _ io.Writer) int {
		defer close(ended)
		for ctx.Err() == nil {
			_, _ = io.WriteString(stdout, strings.Repeat("x", 1<<16))
		}
		return 0
	})
	enough := errors.New("enough")
	if _, err := Run(t.Context(), path, Command{}, writerFunc(func([]byte) (int, error) { return 0, enough }), io.Discard); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	<-ended
}

// An answer that breaks off is no success.
func TestAnswerThatBreaksOff(t *testing.T) {
	path := served(t, func(_ context.Context, _ Command, stdout, _ io.Writer) int {
		_, _ = io.WriteString(stdout, strings.Repeat("x", 1<<20))
		panic(http.ErrAbortHandler)
	})
	if r, err := ask(t.Context(), path, Command{}); err == nil || errors.Is(err, ErrNobody) {
		t.Errorf("code %d, %v", r.Code, err)
	}
}
