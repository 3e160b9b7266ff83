package main

import (
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// reservedPort is a loopback port that the kernel gives to nobody else while
// the API server is on its way to listen there. Our socket is bound but never
// listens; with SO_REUSEPORT on both sides (kube-apiserver's
// --permit-port-sharing) the API server can bind the port too.
type reservedPort struct {
	number int
	socket int
}

// reservePort takes the given port of 127.0.0.1, or any free one for 0.
func reservePort(number int) (*reservedPort, error) {
	if err := refuseIfTaken(number); err != nil {
		return nil, err
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("create a socket: %w", err)
	}
	unix.CloseOnExec(socket)
	reserved := &reservedPort{socket: socket}
	if err := reserved.bind(number); err != nil {
		reserved.release()
		return nil, err
	}
	return reserved, nil
}

// refuseIfTaken finds out whether someone listens on the port, by listening
// there without sharing: with it, we would silently join another control plane.
func refuseIfTaken(number int) error {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(number)))
	if err != nil {
		return portError(number, err)
	}
	return listener.Close()
}

func portError(number int, err error) error {
	return fmt.Errorf("take port %d of 127.0.0.1: %w; choose another --port, or none for any free one", number, err)
}

func (p *reservedPort) bind(number int) error {
	if err := unix.SetsockoptInt(p.socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return fmt.Errorf("permit sharing of the port: %w", err)
	}
	loopback := [4]byte{127, 0, 0, 1}
	if err := unix.Bind(p.socket, &unix.SockaddrInet4{Port: number, Addr: loopback}); err != nil {
		return portError(number, err)
	}
	address, err := unix.Getsockname(p.socket)
	if err != nil {
		return fmt.Errorf("read the port that was bound: %w", err)
	}
	p.number = address.(*unix.SockaddrInet4).Port
	return nil
}

func (p *reservedPort) release() { unix.Close(p.socket) }
