// Writes Kubernetes objects as its API server does: reads one as JSON, writes its protobuf body, or with -watch TYPE a frame of
// a watch. It makes the fixtures of the crate cluster:
//
//	for kind in pod node pod-list status; do
//	  go run ./encode-objects < ../../cluster/src/protobuf/fixtures/$kind.json > ../../cluster/src/protobuf/fixtures/$kind.pb
//	done
//	go run ./encode-objects -watch MODIFIED < ../../cluster/src/protobuf/fixtures/pod.json > ../../cluster/src/protobuf/fixtures/event.pb
package main

import (
	"bytes"
	"flag"
	"io"
	"log"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

func main() {
	watch := flag.String("watch", "", "write a frame of a watch with this type of event")
	flag.Parse()
	text, err := io.ReadAll(os.Stdin)
	check(err)
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(text, nil, nil)
	check(err)
	var body bytes.Buffer
	check(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(object, &body))
	if *watch != "" {
		event := metav1.WatchEvent{Type: *watch, Object: runtime.RawExtension{Raw: bytes.Clone(body.Bytes())}}
		body.Reset()
		frames := protobuf.LengthDelimitedFramer.NewFrameWriter(&body)
		check(protobuf.NewRawSerializer(scheme.Scheme, scheme.Scheme).Encode(&event, frames))
	}
	_, err = body.WriteTo(os.Stdout)
	check(err)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
