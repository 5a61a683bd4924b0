// What crypto/tls and crypto/x509 answer: one JSON question a line on standard input, one JSON answer a line on standard output.
// It repeats the order of verifyServerCertificate (crypto/tls/handshake_client.go): parse all, RSA size, Verify, kind and size of the key.

// As in the go command itself, which is built with the settings of its own version:
//go:debug default=go1.27

package main

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

type question struct {
	Chain [][]byte
	Roots [][]byte
	Name  string
	At    int64
	Parse bool // only parse the chain
}

type answer struct {
	Ok    bool   `json:"ok"`
	Error string `json:"error"`
}

func ask(q question) error {
	var chain []*x509.Certificate
	for _, der := range q.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("tls: failed to parse certificate from server: %w", err)
		}
		if key, is := c.PublicKey.(*rsa.PublicKey); is && key.N.BitLen() > 8192 {
			return fmt.Errorf("tls: server sent certificate containing RSA key larger than 8192 bits")
		}
		chain = append(chain, c)
	}
	if q.Parse {
		return nil
	}
	options := x509.VerifyOptions{
		DNSName: q.Name, CurrentTime: time.Unix(0, q.At),
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
	}
	for _, der := range q.Roots {
		if c, err := x509.ParseCertificate(der); err == nil {
			options.Roots.AddCert(c)
		}
	}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return err
	}
	switch key := chain[0].PublicKey.(type) {
	case *rsa.PublicKey: // whose size is looked at when the handshake's signature is verified
		if err := rsa.VerifyPSS(key, crypto.SHA256, make([]byte, 32), make([]byte, key.Size()), nil); err != rsa.ErrVerification {
			return fmt.Errorf("tls: invalid signature by the server certificate: %w", err)
		}
		return nil
	case *ecdsa.PublicKey, ed25519.PublicKey, *mldsa.PublicKey:
		return nil
	}
	return fmt.Errorf("tls: server's certificate contains an unsupported type of public key: %T", chain[0].PublicKey)
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	questions, answers := json.NewDecoder(in), json.NewEncoder(os.Stdout)
	for {
		var q question
		if questions.Decode(&q) != nil {
			return
		}
		a := answer{Ok: true}
		if err := ask(q); err != nil {
			a = answer{Error: err.Error()}
		}
		answers.Encode(a)
	}
}
