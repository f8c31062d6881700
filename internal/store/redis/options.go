package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Modes of a deployment.
const (
	Standalone = "standalone"
	Sentinel   = "sentinel"
	Cluster    = "cluster"
)

// Options say which Redis. Mode and Addresses are required.
type Options struct {
	Mode       string
	Addresses  []string // host:port; of the Sentinels, or of some nodes of a Cluster. Standalone: one, also unix:///path
	MasterName string   // Sentinel: required
	Username   string
	Password   string // also tried at a Sentinel that asks for one
	DB         int    // Cluster: 0
	TLS        *tls.Config
	KeyPrefix  string        // before every key and channel; "gatehouse:" is usual
	Timeout    time.Duration // of one operation with all its attempts; 0: one second
}

// poolSize is how many connections are open to one server at most. A process
// whose cache is cold asks as much as its requests need; the rest waits its
// turn, within the timeout.
const poolSize = 64

func (o Options) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return time.Second
}

func (o Options) client() (redis.UniversalClient, error) {
	if len(o.Addresses) == 0 {
		return nil, errors.New("no address")
	}
	for _, addr := range o.Addresses {
		if err := checkAddress(addr, o.Mode); err != nil {
			return nil, err
		}
	}
	u := o.universal()
	switch o.Mode {
	case Standalone:
		if len(o.Addresses) != 1 {
			return nil, fmt.Errorf("%d addresses in mode standalone; sentinel and cluster take several", len(o.Addresses))
		}
		return redis.NewClient(u.Simple()), nil
	case Sentinel:
		if o.MasterName == "" {
			return nil, errors.New("no master name in mode sentinel")
		}
		failover := u.Failover()
		if o.Password != "" {
			failover.OnConnect = o.authenticateIfAsked
		}
		return redis.NewFailoverClient(failover), nil
	case Cluster:
		if o.DB != 0 {
			return nil, fmt.Errorf("database %d in mode cluster, which has only 0", o.DB)
		}
		cluster := u.Cluster()
		cluster.DisableRoutingPolicies = true // every command here has one key
		return redis.NewClusterClient(cluster), nil
	}
	return nil, fmt.Errorf("mode %q is none of standalone, sentinel, cluster", o.Mode)
}

func checkAddress(addr, mode string) error {
	if path, unix := strings.CutPrefix(addr, "unix://"); unix {
		if mode != Standalone {
			return fmt.Errorf("address %s in mode %s, which needs host:port", addr, mode)
		}
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("address %s: the path must be absolute: unix:///path", addr)
		}
		return nil
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("address %q is neither host:port nor unix:///path", addr)
	}
	return nil
}

func (o Options) universal() *redis.UniversalOptions {
	timeout := o.timeout()
	addrs := make([]string, len(o.Addresses))
	for i, addr := range o.Addresses {
		addrs[i] = strings.TrimPrefix(addr, "unix://")
	}
	return &redis.UniversalOptions{
		Addrs:      addrs,
		MasterName: o.MasterName,
		Username:   o.Username,
		Password:   o.Password,
		DB:         o.DB,
		TLSConfig:  o.TLS,

		// Attempts are decided in attempt.go, which knows what may be repeated.
		MaxRetries:    -1,
		DialerRetries: 1,

		// A deadline of the operation ends everything it waits for.
		ContextTimeoutEnabled: true,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		PoolTimeout:           timeout,
		// Dialling goes on in the background when its operation has given up,
		// and may first have to find out that one Sentinel hangs.
		DialTimeout: 2 * timeout,

		PoolSize:        poolSize,
		ConnMaxIdleTime: 5 * time.Minute,

		// RESP3 brings nothing that is used here and checks every connection
		// for pushed messages before every command.
		Protocol:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// authenticateIfAsked gives the password to a Sentinel that wants one. The
// configuration has one password, and whether Sentinels share it differs from
// place to place; a Sentinel without a password refuses one that is offered.
// It runs on every new connection, also to the master, which has been
// authenticated by then.
func (o Options) authenticateIfAsked(ctx context.Context, conn *redis.Conn) error {
	err := conn.Ping(ctx).Err()
	if err == nil || !redis.HasErrorPrefix(err, "NOAUTH") {
		return nil // other trouble shows at the command itself
	}
	if o.Username != "" {
		err = conn.AuthACL(ctx, o.Username, o.Password).Err()
		if err == nil {
			return nil
		}
	}
	return conn.Auth(ctx, o.Password).Err()
}
