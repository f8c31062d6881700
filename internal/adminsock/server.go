package adminsock

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	maxCommand = 12 << 20 // bytes of a request: one that brings 8 MiB, as text
	pieceSize  = 32 << 10 // bytes of what is printed that are sent together
	// probeTimeout is how long a server that holds the socket may take to
	// accept a connection before it counts as answering.
	probeTimeout = 2 * time.Second
	runTimeout   = 2 * time.Minute // for one command that does not say
	// longestRun bounds what a command may ask for: one that hangs must end.
	longestRun    = 24 * time.Hour
	answerTimeout = 10 * time.Second // for what it printed
)

// ErrInUse says that another server answers at the socket.
var ErrInUse = errors.New("another server answers at the socket")

// Server runs the commands that come through a socket.
type Server struct {
	// Run executes one command and returns its exit code; several may run at
	// once. Peer tells who gave it. What it prints reaches whoever gave it as it
	// comes, so that it need not fit into memory; it ends with them.
	Run func(ctx context.Context, c Command, stdout, stderr io.Writer) (code int)
	Log *slog.Logger

	listener *listener
	http     *http.Server
}

// Listen makes the socket, and its directory where there is none. A socket
// that a dead server left is replaced; one at which somebody answers is not.
// Errors: ErrInUse, and what the file system says.
func (s *Server) Listen(path string) error {
	l, err := listen(path, s.Log)
	if err != nil {
		return fmt.Errorf("admin socket %s: %w", path, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+commandPath, s.command)
	s.listener = l
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      runTimeout + answerTimeout,
		IdleTimeout:       10 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnContext:       withPeer,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	return nil
}

// Serve runs commands until Shutdown; it needs Listen before it.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin socket: %w", err)
	}
	return nil
}

// Shutdown removes the socket and waits for running commands until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	// Serve may never have been called; if it was, this is the second time.
	if closeErr := s.listener.Close(); err == nil && !errors.Is(closeErr, net.ErrClosed) {
		err = closeErr
	}
	return err
}

func (s *Server) command(w http.ResponseWriter, r *http.Request) {
	var c Command
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand)).Decode(&c); err != nil {
		http.Error(w, "the command cannot be read", http.StatusBadRequest)
		return
	}
	within := min(max(c.Within, runTimeout), longestRun)
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within + answerTimeout)); err != nil {
		http.Error(w, "the command cannot be waited for", http.StatusInternalServerError)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), within)
	defer cancel()
	w.Header().Set("Content-Type", "application/json")
	out := &printer{to: json.NewEncoder(w), cancel: cancel}
	stdout := bufio.NewWriterSize(half{out, func(p *piece, b []byte) { p.Stdout = b }}, pieceSize)
	code := s.Run(ctx, c, stdout, half{out, func(p *piece, b []byte) { p.Stderr = b }})
	if stdout.Flush() == nil {
		out.print(piece{Code: &code})
	}
}

// printer sends pieces. Once one cannot be sent the command is told to end:
// whoever gave it has gone.
type printer struct {
	mu     sync.Mutex
	to     *json.Encoder
	cancel context.CancelFunc
	err    error
}

func (p *printer) print(s piece) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = p.to.Encode(s)
	}
	if p.err != nil {
		p.cancel()
	}
	return p.err
}

// half is one of the two streams that a command prints to.
type half struct {
	*printer
	put func(*piece, []byte)
}

func (h half) Write(b []byte) (int, error) {
	var s piece
	h.put(&s, b)
	if err := h.print(s); err != nil {
		return 0, err
	}
	return len(b), nil
}

// listener accepts connections of the server's own user and of root only.
type listener struct {
	*net.UnixListener
	path  string
	made  os.FileInfo           // the socket that we made
	admit func(uid uint32) bool // mayCommand
	log   *slog.Logger
}

func listen(path string, log *slog.Logger) (*listener, error) {
	dir := filepath.Dir(path)
	if err := makeDirectory(dir); err != nil {
		return nil, err
	}
	unlock, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	name, done, err := address(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // Close knows better
	made := &listener{UnixListener: l, path: path, admit: mayCommand, log: log}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	if made.made, err = os.Lstat(path); err != nil {
		l.Close()
		return nil, err
	}
	return made, nil
}

// removeStale removes the socket of a dead server. Anything else at the path,
// and a socket of which it is not certain that nobody answers, stays.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is something at this path that is not a socket")
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	conn, err := dial(ctx, path)
	switch {
	case err == nil:
		conn.Close()
		return ErrInUse
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("%w, it seems: %w", ErrInUse, err)
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peer(conn)
		if err == nil && l.admit(uid) {
			return peerConn{conn, uid}, nil
		}
		l.log.Warn("admin socket refused a peer", "uid", uid, "error", err)
		conn.Close()
	}
}

// peerConn is a connection whose other end the kernel has named.
type peerConn struct {
	*net.UnixConn
	uid uint32
}

type peerKey struct{}

func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(peerConn); ok {
		return context.WithValue(ctx, peerKey{}, c.uid)
	}
	return ctx
}

// Peer returns the user who gave the command that is run with the context, as
// the kernel says; ok is false where it did not come through a socket.
func Peer(ctx context.Context) (uid uint32, ok bool) {
	uid, ok = ctx.Value(peerKey{}).(uint32)
	return uid, ok
}

// mayCommand reports whether a user may give commands to this process.
func mayCommand(uid uint32) bool { return uid == 0 || uid == uint32(os.Geteuid()) }

// Close stops listening and removes the socket, unless another server's stands
// at its path by now.
func (l *listener) Close() error {
	err := l.UnixListener.Close()
	unlock, lockErr := lockDirectory(filepath.Dir(l.path))
	if lockErr != nil {
		return err
	}
	defer unlock()
	if now, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(now, l.made) {
		_ = os.Remove(l.path)
	}
	return err
}
