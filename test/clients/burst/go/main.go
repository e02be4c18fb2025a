// PORT 5 TOPIC COUNT: autopaho publishes COUNT messages of QoS 2 from as many goroutines.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

func main() {
	server, _ := url.Parse("mqtt://127.0.0.1:" + os.Args[1])
	topic := os.Args[3]
	count, _ := strconv.Atoi(os.Args[4])
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var connections atomic.Int32
	manager, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{server},
		KeepAlive:                     60,
		CleanStartOnInitialConnection: true,
		SessionExpiryInterval:         600,
		OnConnectionUp:                func(*autopaho.ConnectionManager, *paho.Connack) { connections.Add(1) },
		ClientConfig:                  paho.ClientConfig{ClientID: "autopaho", PacketTimeout: 30 * time.Second},
	})
	if err == nil {
		err = manager.AwaitConnection(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var group sync.WaitGroup
	var done atomic.Int32
	for i := range count {
		group.Go(func() {
			_, err := manager.Publish(ctx, &paho.Publish{QoS: 2, Topic: topic, Payload: []byte(strconv.Itoa(i))})
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return
			}
			done.Add(1)
		})
	}
	group.Wait()
	_ = manager.Disconnect(ctx)
	fmt.Printf("%d done on %d connections\n", done.Load(), connections.Load())
}
