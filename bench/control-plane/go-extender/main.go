// A minimal scheduler extender in Go: net/http, encoding/json and the official types, answering exactly what
// burst-scheduler answers for a policy `auto` pod (filter: everything passes; prioritize: only the virtual node, lowered).
// It is the yardstick of `make bench`, not a product.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"strconv"

	extender "k8s.io/kube-scheduler/extender/v1"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:10271", "address")
	virtual := flag.String("virtual-node", "burst-cci-0", "name of the virtual node")
	flag.Parse()
	http.HandleFunc("/filter", func(w http.ResponseWriter, r *http.Request) {
		var args extender.ExtenderArgs
		if err := json.NewDecoder(r.Body).Decode(&args); err != nil {
			reply(w, extender.ExtenderFilterResult{Error: err.Error()})
			return
		}
		reply(w, extender.ExtenderFilterResult{NodeNames: args.NodeNames})
	})
	http.HandleFunc("/prioritize", func(w http.ResponseWriter, r *http.Request) {
		var args extender.ExtenderArgs
		list := extender.HostPriorityList{}
		if err := json.NewDecoder(r.Body).Decode(&args); err == nil && args.NodeNames != nil {
			for _, name := range *args.NodeNames {
				if name == *virtual {
					list = append(list, extender.HostPriority{Host: name, Score: -10})
				}
			}
		}
		reply(w, list)
	})
	// What a call costs whoever answers: the body is read and nothing of it is looked at.
	http.HandleFunc("/nothing/prioritize", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		reply(w, extender.HostPriorityList{})
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}

// reply sends Content-Length: a chunked answer would cost the scheduler its connection.
func reply(w http.ResponseWriter, value any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(value); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	_, _ = w.Write(body.Bytes())
}
