package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"time"
)

// Person is somebody with a browser of their own, to whom nothing is fatal.
type Person struct {
	Name   string // the persona at the identity provider, badidp
	client *http.Client
}

// NewPerson returns somebody who has never been anywhere.
func NewPerson(name string) (*Person, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	// Cookies know no ports: whatever listens on loopback sees it.
	jar.SetCookies(&url.URL{Scheme: "http", Host: "127.0.0.1"}, []*http.Cookie{{Name: "persona", Value: name}})
	return &Person{Name: name, client: &http.Client{
		Jar:       jar,
		Transport: &http.Transport{DisableKeepAlives: true}, // so that a killed process is not missed twice
		Timeout:   time.Minute,
	}}, nil
}

// SignIn signs in through a connection and follows to the application.
func (p *Person) SignIn(ctx context.Context, gateway, connection string) error {
	status, text, err := p.get(ctx, gateway+"/oauth2/start?connection="+connection+"&rd=/", "text/html")
	if err == nil && status != http.StatusOK {
		err = &StatusError{status, text}
	}
	if err != nil {
		return fmt.Errorf("%s signs in through %s: %w", p.Name, connection, err)
	}
	return nil
}

// StatusError is an answer that is not the application's.
type StatusError struct {
	Status int
	Text   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("it ends with %d:\n%s", e.Status, e.Text) }

// User returns as whom the person is signed in, "" for nobody.
func (p *Person) User(ctx context.Context, gateway string) (string, error) {
	status, text, err := p.get(ctx, gateway+"/oauth2/userinfo", "application/json")
	if err != nil || status == http.StatusUnauthorized {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("userinfo answers %d:\n%s", status, text)
	}
	var info struct{ User string }
	err = json.Unmarshal([]byte(text), &info)
	return info.User, err
}

func (p *Person) get(ctx context.Context, address, accept string) (status int, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Accept", accept)
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}
