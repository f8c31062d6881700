package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"gatehouse/test/servers"
)

// below calls the services of an application below a path.
type below struct {
	*grpc.ClientConn
	path string
}

func (b below) Invoke(ctx context.Context, method string, in, out any, options ...grpc.CallOption) error {
	return b.ClientConn.Invoke(ctx, b.path+method, in, out, options...)
}

func (b below) NewStream(ctx context.Context, d *grpc.StreamDesc, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	return b.ClientConn.NewStream(ctx, d, b.path+method, options...)
}

// TestGRPC: calls of all kinds pass, from clients over TLS and in the clear, to
// applications over TLS and in the clear.
func TestGRPC(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			g := servers.NewGateway(t, binary, "")
			g.ServeTLS(t)
			pair, err := tls.LoadX509KeyPair(filepath.Join(g.Dir, "cert.pem"), filepath.Join(g.Dir, "key.pem"))
			if err != nil {
				t.Fatal(err)
			}
			clear, secure := servers.StartGRPCApp(t, nil), servers.StartGRPCApp(t, &tls.Config{Certificates: []tls.Certificate{pair}})
			server, creds, cookie := `tls: {cert_file: cert.pem, key_file: key.pem}`, credentials.NewTLS(g.Trust), "__Host-_gatehouse"
			if scheme == "http" {
				server, creds, cookie = "", insecure.NewCredentials(), "_gatehouse"
				g.URL, g.Trust = "http://"+g.Addr, nil
			}
			text := proxyText(server, []string{
				"path: /clear/, strip_prefix: true, timeout: 1s, upstream: h2c://" + clear.Addr,
				"path: /secure/, strip_prefix: true, timeout: 1s, upstream: https://" + secure.Addr + ", upstream_tls: {ca_file: ca.pem}",
				"path: /admin/, strip_prefix: true, access: {groups: [admins]}, upstream: h2c://" + clear.Addr,
				"path: /nobody/, upstream: h2c://127.0.0.1:1",
			})
			g.WriteConfig(t, strings.Replace(text, "http://{{addr}}", scheme+"://{{addr}}", 1))
			g.Start(t)
			addUser(t, g, "pat")
			pat := newTLSVisitor(t, "", g.Trust)
			pat.password(g, "pat", goodPassword).wants(t, http.StatusSeeOther)
			conn, err := grpc.NewClient(g.Addr, grpc.WithTransportCredentials(creds))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			signedIn := metadata.AppendToOutgoingContext(ctx, "cookie", cookie+"="+pat.cookie(g.URL, cookie), "x-forwarded-user", "root", "x_forwarded_user", "root", "x-own-bin", "\x00\xfe")

			for path, app := range map[string]*servers.GRPCApp{"/clear": clear, "/secure": secure} {
				callAll(t, signedIn, pb.NewTestServiceClient(below{conn, path}), app)
			}
			for path, want := range map[string]codes.Code{"/clear": codes.Unauthenticated, "/admin": codes.Unauthenticated, "/none": codes.Unimplemented} {
				client := pb.NewTestServiceClient(below{conn, path})
				if _, err := client.UnaryCall(ctx, &pb.SimpleRequest{}); status.Code(err) != want {
					t.Errorf("%s, nobody: %v, want %v", path, err, want)
				}
				if stream, err := client.FullDuplexCall(ctx); err != nil {
					t.Errorf("%s, nobody: %v", path, err)
				} else if _, err := stream.Recv(); status.Code(err) != want {
					t.Errorf("%s, nobody, a stream: %v, want %v", path, err, want)
				}
			}
			for path, want := range map[string]codes.Code{"/admin": codes.PermissionDenied, "/nobody": codes.Unavailable} {
				if _, err := pb.NewTestServiceClient(below{conn, path}).UnaryCall(signedIn, &pb.SimpleRequest{}); status.Code(err) != want {
					t.Errorf("%s: %v, want %v", path, err, want)
				}
			}

			// A stream ends with its session, as every other one does.
			stream, err := pb.NewTestServiceClient(below{conn, "/clear"}).FullDuplexCall(signedIn)
			if err != nil {
				t.Fatal(err)
			}
			ping(t, stream, 1)
			run(t, g, "user", "disable", "pat")
			begun := time.Now()
			if _, err := stream.Recv(); err == nil || err == io.EOF || time.Since(begun) > streamLife {
				t.Errorf("the stream of somebody who was disabled: %v after %s", err, time.Since(begun))
			}
		})
	}
}

// ping sends one message and waits for the answer, of that many bytes.
func ping(t *testing.T, stream grpc.BidiStreamingClient[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse], size int32) {
	t.Helper()
	if err := stream.Send(&pb.StreamingOutputCallRequest{ResponseParameters: []*pb.ResponseParameters{{Size: size}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || len(got.GetPayload().GetBody()) != int(size) {
		t.Fatalf("%d bytes, %v; want %d", len(got.GetPayload().GetBody()), err, size)
	}
}

// callAll makes a call of each kind. The route has a timeout of one second.
func callAll(t *testing.T, ctx context.Context, client pb.TestServiceClient, app *servers.GRPCApp) {
	t.Helper()
	var trailer metadata.MD
	body := bytes.Repeat([]byte("payload "), 1<<18)
	got, err := client.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{Body: body}}, grpc.Trailer(&trailer))
	if err != nil || !bytes.Equal(got.GetPayload().GetBody(), body) {
		t.Fatalf("unary: %d bytes, %v", len(got.GetPayload().GetBody()), err)
	}
	if a, b := trailer.Get("x-trailer"), trailer.Get("x-bytes-bin"); !slices.Equal(a, []string{"of the application"}) || !slices.Equal(b, []string{"\x00\xff"}) {
		t.Errorf("trailers %q", trailer)
	}
	md := app.Metadata()
	if user := md.Get("x-forwarded-user"); !slices.Equal(user, []string{"pat"}) || md.Get("x_forwarded_user") != nil || md.Get("cookie") != nil {
		t.Errorf("the application is told %q", md)
	}
	if own := md.Get("x-own-bin"); !slices.Equal(own, []string{"\x00\xfe"}) {
		t.Errorf("metadata in bytes arrives as %q", own)
	}

	_, err = client.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: int32(codes.ResourceExhausted), Message: "tëst 100%"}}, grpc.Trailer(&trailer))
	if s := status.Convert(err); s.Code() != codes.ResourceExhausted || s.Message() != "tëst 100%" || trailer.Get("x-trailer") == nil {
		t.Errorf("a refusal by the application: %v, trailers %q", err, trailer)
	}

	sizes := []int32{1, 1 << 20, 0, 10}
	in := &pb.StreamingOutputCallRequest{}
	for _, size := range sizes {
		in.ResponseParameters = append(in.ResponseParameters, &pb.ResponseParameters{Size: size})
	}
	down, err := client.StreamingOutputCall(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	for i, size := range sizes {
		if got, err := down.Recv(); err != nil || len(got.GetPayload().GetBody()) != int(size) {
			t.Fatalf("server stream, message %d: %d bytes, %v", i, len(got.GetPayload().GetBody()), err)
		}
	}
	if _, err := down.Recv(); err != io.EOF {
		t.Errorf("server stream, end: %v", err)
	}

	both, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int32{1, 1 << 16, 2} { // each sent when the one before has come back
		ping(t, both, size)
	}
	<-time.After(1500 * time.Millisecond) // longer than the route's timeout, which is for headers
	ping(t, both, 3)
	if err := both.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Recv(); err != io.EOF {
		t.Errorf("bidirectional stream, end: %v", err)
	}

	// The deadline is the client's, and the application's to keep.
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	waiting, err := client.FullDuplexCall(short)
	if err == nil {
		_, err = waiting.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("past the deadline: %v", err)
	}
}
