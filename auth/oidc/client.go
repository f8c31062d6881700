package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"gatehouse/auth"
)

const (
	// maxBody bounds every answer of the identity provider, in bytes.
	maxBody = 1 << 20
	// maxHeader bounds the header of every answer, in bytes.
	maxHeader = 64 << 10
	// defaultTimeout bounds one request to the identity provider.
	defaultTimeout = 5 * time.Second
	// maxRedirects is how often a document may move within its host.
	maxRedirects = 3
)

var (
	errTooLarge = errors.New("answer larger than 1 MiB")
	errRedirect = errors.New("redirected to another host")
)

// newClient returns the client for documents and endpoints of the identity
// provider. Each request must carry a context that ends.
func newClient(timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: min(timeout, 3*time.Second)}
	return &http.Client{
		Transport: boundedTransport{&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    min(timeout, 3*time.Second),
			ResponseHeaderTimeout:  timeout,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    8,
			MaxConnsPerHost:        64,
			IdleConnTimeout:        30 * time.Second,
		}},
		CheckRedirect: sameHost,
		Timeout:       timeout,
	}
}

// sameHost lets a document move within its host, and nothing else. Somebody
// who finds an open redirect at the provider must not be able to serve the
// keys from elsewhere, or to receive the client's secret or an access token.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case first.Method != http.MethodGet || first.Header.Get("Authorization") != "":
		return fmt.Errorf("%w: a request with credentials is never redirected", errRedirect)
	case req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host:
		return errRedirect
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: too many redirects", errRedirect)
	}
	return nil
}

// boundedTransport reads each answer whole, to maxBody, before it is handed
// on: a provider must not be able to fill the memory, nor hide from a library
// that reads a part and does not ask whether there was more.
type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the
// connections underneath.
func (t boundedTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// getJSON fetches a public document of the identity provider into v.
func getJSON(ctx context.Context, client *http.Client, address string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("%w: address: %w", auth.ErrInvalidAnswer, err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return networkError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: status %d", auth.ErrProviderDown, resp.StatusCode)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return networkError(err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: not the expected JSON: %s", auth.ErrInvalidAnswer, jsonProblem(err))
	}
	return nil
}

// networkError sorts what a request failed with: an answer that breaks the
// rules is invalid, everything else means that the provider is out of reach.
// The URL that net/http puts into its errors is left out.
func networkError(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, errTooLarge) || errors.Is(err, errRedirect) {
		return fmt.Errorf("%w: %w", auth.ErrInvalidAnswer, err)
	}
	return fmt.Errorf("%w: %w", auth.ErrProviderDown, err)
}

// jsonProblem tells what is wrong with a document without quoting from it:
// it may hold tokens.
func jsonProblem(err error) string {
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Sprintf("%q has the wrong type", wrong.Field)
	}
	return "not well-formed"
}
