// Command h3load is an HTTP/3 load generator in the manner of h2load.
//
// Each of -c connections keeps -m requests under way until -d has passed, or until -n requests are done. One line of
// JSON goes to standard output: requests per second, errors, latency percentiles in milliseconds. A request counts once
// its whole body has been read and its status is below 400; everything else is an error, and the first one's text is
// in the result, so that a run of errors never looks like a fast server.
//
// With -hold it makes one request on each connection, says "ready", and keeps the connections open and idle until its
// standard input ends: for measuring what an idle connection costs a server.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

type options struct {
	connections int
	streams     int
	duration    time.Duration
	requests    int64
	warmUp      time.Duration
	timeout     time.Duration
	hold        bool
	target      *url.URL
}

type result struct {
	Requests          int                `json:"requests"`
	Errors            int64              `json:"errors"`
	FirstError        string             `json:"first_error,omitempty"`
	Seconds           float64            `json:"seconds"`
	RequestsPerSecond float64            `json:"requests_per_second"`
	LatencyMs         map[string]float64 `json:"latency_ms"`
}

func main() {
	chosen, err := parse()
	if err == nil {
		err = run(chosen)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "h3load:", err)
		os.Exit(1)
	}
}

func parse() (options, error) {
	var chosen options
	seconds := flag.Float64("d", 5, "seconds of load, after the warm-up")
	warmUp := flag.Float64("w", 0, "seconds of load before the measured ones")
	flag.IntVar(&chosen.connections, "c", 1, "connections")
	flag.IntVar(&chosen.streams, "m", 1, "requests under way on each connection")
	flag.Int64Var(&chosen.requests, "n", 0, "requests in all, instead of -d")
	flag.DurationVar(&chosen.timeout, "timeout", 10*time.Second, "for a handshake, and for a request")
	flag.BoolVar(&chosen.hold, "hold", false, "one request on each connection, then idle until standard input ends")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: h3load [flags] https://HOST:PORT/PATH")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 || chosen.connections < 1 || chosen.streams < 1 {
		return chosen, errors.New("one URL is needed, and -c and -m of at least 1 (see -help)")
	}
	chosen.duration = time.Duration(*seconds * float64(time.Second))
	chosen.warmUp = time.Duration(*warmUp * float64(time.Second))
	target, err := url.Parse(flag.Arg(0))
	if err == nil && (target.Scheme != "https" || target.Port() == "") {
		err = fmt.Errorf("%s is not https://HOST:PORT/PATH", flag.Arg(0))
	}
	chosen.target = target
	return chosen, err
}

// connect opens the connections, a few at a time: all at once would be a test of handshakes.
func connect(chosen options, transport *http3.Transport) ([]*http3.ClientConn, error) {
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	dialer := &quic.Transport{Conn: socket}
	address, err := net.ResolveUDPAddr("udp", chosen.target.Host)
	if err != nil {
		return nil, err
	}
	// The certificate of a benchmark is its own authority; what is measured is not who signed it.
	secure := &tls.Config{ServerName: chosen.target.Hostname(), NextProtos: []string{"h3"}, InsecureSkipVerify: true}
	settings := &quic.Config{HandshakeIdleTimeout: chosen.timeout, MaxIdleTimeout: 5 * time.Minute}
	connections := make([]*http3.ClientConn, chosen.connections)
	failures := make(chan error, chosen.connections)
	turn := make(chan struct{}, 8)
	for index := range connections {
		go func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			ctx, cancel := context.WithTimeout(context.Background(), chosen.timeout)
			defer cancel()
			connection, err := dialer.Dial(ctx, address, secure, settings)
			if err == nil {
				connections[index] = transport.NewClientConn(connection)
			}
			failures <- err
		}()
	}
	for range connections {
		if err := <-failures; err != nil {
			return nil, fmt.Errorf("connecting: %w", err)
		}
	}
	return connections, nil
}

func fetch(ctx context.Context, connection *http3.ClientConn, chosen options) error {
	ctx, cancel := context.WithTimeout(ctx, chosen.timeout)
	defer cancel()
	request := &http.Request{Method: http.MethodGet, URL: chosen.target, Host: chosen.target.Host, Header: http.Header{}}
	response, err := connection.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if err == nil && response.StatusCode >= 400 {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return err
}

func run(chosen options) error {
	transport := &http3.Transport{DisableCompression: true}
	connections, err := connect(chosen, transport)
	if err != nil {
		return err
	}
	if chosen.hold {
		return hold(chosen, connections)
	}
	if chosen.warmUp > 0 {
		if _, err := load(chosen, connections, chosen.warmUp, 0); err != nil {
			return err
		}
	}
	measured, err := load(chosen, connections, chosen.duration, chosen.requests)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(measured)
}

func hold(chosen options, connections []*http3.ClientConn) error {
	for _, connection := range connections {
		if err := fetch(context.Background(), connection, chosen); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// load keeps every connection busy for a duration or, with wanted above 0, for so many requests.
func load(chosen options, connections []*http3.ClientConn, duration time.Duration, wanted int64) (result, error) {
	var failed, begun atomic.Int64
	var first sync.Once
	var firstError string
	var workers sync.WaitGroup
	latencies := make([][]time.Duration, len(connections)*chosen.streams)
	start := time.Now()
	for worker := range latencies {
		connection := connections[worker%len(connections)]
		workers.Go(func() {
			for {
				sent := time.Now()
				if wanted > 0 && begun.Add(1) > wanted || wanted == 0 && sent.Sub(start) >= duration {
					return
				}
				if err := fetch(context.Background(), connection, chosen); err != nil {
					failed.Add(1)
					first.Do(func() { firstError = err.Error() })
					time.Sleep(10 * time.Millisecond) // a refused connection must not become a busy loop
					continue
				}
				latencies[worker] = append(latencies[worker], time.Since(sent))
			}
		})
	}
	workers.Wait()
	seconds := time.Since(start).Seconds()
	all := slices.Concat(latencies...)
	if len(all) == 0 {
		return result{}, fmt.Errorf("no request was answered; %d failed: %s", failed.Load(), firstError)
	}
	slices.Sort(all)
	percentile := func(share float64) float64 {
		return float64(all[min(len(all)-1, int(share*float64(len(all))))].Microseconds()) / 1000
	}
	return result{
		Requests:          len(all),
		Errors:            failed.Load(),
		FirstError:        firstError,
		Seconds:           seconds,
		RequestsPerSecond: float64(len(all)) / seconds,
		LatencyMs: map[string]float64{
			"p50": percentile(0.50), "p90": percentile(0.90), "p99": percentile(0.99), "max": percentile(1),
		},
	}, nil
}
