package servers

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// GRPCApp is an application that speaks gRPC: the test service of the gRPC
// project. It answers
//
//	UnaryCall            with the payload that it got, the status that it was asked for, and a trailer
//	StreamingOutputCall  with a payload of each size that was asked for
//	FullDuplexCall       each message with one of the size that it asks for
type GRPCApp struct {
	pb.UnimplementedTestServiceServer
	Addr string

	mu   sync.Mutex
	last metadata.MD
}

// StartGRPCApp starts a GRPCApp on a free port, over TLS if config is not nil.
func StartGRPCApp(t testing.TB, config *tls.Config) *GRPCApp {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start the gRPC application: %v", err)
	}
	a := &GRPCApp{Addr: l.Addr().String()}
	var options []grpc.ServerOption
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	s := grpc.NewServer(options...)
	pb.RegisterTestServiceServer(s, a)
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() {
		s.Stop()
		served.Wait()
	})
	return a
}

// Metadata returns what the last call brought along.
func (a *GRPCApp) Metadata() metadata.MD {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

func (a *GRPCApp) keep(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = md
}

// UnaryCall is pb.TestServiceServer.
func (a *GRPCApp) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	a.keep(ctx)
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "of the application", "x-bytes-bin", "\x00\xff"))
	if s := in.GetResponseStatus(); s.GetCode() != 0 {
		return nil, status.Error(codes.Code(s.GetCode()), s.GetMessage())
	}
	return &pb.SimpleResponse{Payload: in.GetPayload()}, nil
}

// StreamingOutputCall is pb.TestServiceServer.
func (a *GRPCApp) StreamingOutputCall(in *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	a.keep(out.Context())
	return send(in, out.Send)
}

// FullDuplexCall is pb.TestServiceServer.
func (a *GRPCApp) FullDuplexCall(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	a.keep(both.Context())
	for {
		in, err := both.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(in, both.Send); err != nil {
			return err
		}
	}
}

func send(in *pb.StreamingOutputCallRequest, out func(*pb.StreamingOutputCallResponse) error) error {
	for _, p := range in.GetResponseParameters() {
		if err := out(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	return nil
}
