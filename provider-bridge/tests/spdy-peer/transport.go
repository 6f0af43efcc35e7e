package main

import (
	"net/http"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport/spdy"
)

func spdyTransport(config *rest.Config) (http.RoundTripper, spdy.Upgrader, error) {
	return spdy.RoundTripperFor(config)
}
