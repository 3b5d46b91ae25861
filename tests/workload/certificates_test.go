package workload

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// certificate is what a certificate route answered, as crypto/tls takes it.
func (m *member) certificate(path, body string) (tls.Certificate, time.Time) {
	m.t.Helper()
	a := m.post(path, body)
	require.Equal(m.t, http.StatusCreated, a.Status, a.Body+a.Error)
	var answer struct {
		PrivateKey  struct{ Type, Bytes string }
		Certificate string
		Expiration  time.Time
	}
	require.NoError(m.t, json.Unmarshal([]byte(a.Body), &answer))
	require.Equal(m.t, "key", answer.PrivateKey.Type)
	c, err := tls.X509KeyPair([]byte(answer.Certificate), []byte(answer.PrivateKey.Bytes))
	require.NoError(m.t, err)
	require.NotContains(m.t, m.d.EdgedLog(), "PRIVATE KEY")
	return c, answer.Expiration
}

// roots is what the module trusts.
func (m *member) roots() *x509.CertPool {
	m.t.Helper()
	pool := x509.NewCertPool()
	require.True(m.t, pool.AppendCertsFromPEM([]byte(m.field(m.get("/trust-bundle"), "certificate"))))
	return pool
}

// shake lets two ends meet, both of which want to know the other, and returns how each of them fared.
func shake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	done := make(chan error, 1)
	var served *tls.Conn
	go func() {
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		served = tls.Server(conn, server)
		defer served.Close()
		_ = served.SetDeadline(time.Now().Add(20 * time.Second))
		if err = served.Handshake(); err == nil {
			_, err = served.Write([]byte("x"))
		}
		done <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c := tls.Client(conn, client)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if clientErr = c.Handshake(); clientErr == nil {
		// In TLS 1.3 a client learns from the first byte that its certificate was taken.
		_, clientErr = c.Read(make([]byte, 1))
	} else {
		_ = conn.Close()
	}
	serverErr = <-done
	if served != nil {
		state = served.ConnectionState()
	}
	return state, serverErr, clientErr
}

func TestModulesMeetUnderTheCertificatesOfTheirDevice(t *testing.T) {
	d := device.New(t, device.Options{Config: "[device]\nid = \"dev-1\"\nhub = \"hub.example\"\n"})
	server, client := run(t, d, "broker"), run(t, d, "sensor")
	stranger := join(t, device.New(t, device.Options{}), "edgeAgent")

	serving, end := server.certificate(server.path("certificate/server"), `{"commonName":"broker"}`)
	require.Greater(t, time.Until(end), 24*time.Hour)
	asking, _ := client.shared().certificate("/modules/sensor/certificate/identity", "")
	require.Len(t, asking.Certificate, 2, "the chain is there")
	require.IsType(t, &ecdsa.PrivateKey{}, asking.PrivateKey)
	require.Equal(t, "azureiot://hub.example/devices/dev-1/modules/sensor", asking.Leaf.URIs[0].String())
	require.Equal(t, "sensor", asking.Leaf.Subject.CommonName)

	listen := &tls.Config{Certificates: []tls.Certificate{serving}, ClientCAs: server.roots(), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	dial := func(name string, c tls.Certificate, roots *x509.CertPool) *tls.Config {
		return &tls.Config{ServerName: name, Certificates: []tls.Certificate{c}, RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	state, serverErr, clientErr := shake(t, listen, dial("broker", asking, client.roots()))
	require.NoError(t, serverErr)
	require.NoError(t, clientErr)
	require.Equal(t, "sensor", state.PeerCertificates[0].Subject.CommonName)
	require.Len(t, state.VerifiedChains, 1)

	t.Run("not by another name", func(t *testing.T) {
		_, _, err := shake(t, listen, dial("other", asking, client.roots()))
		require.ErrorContains(t, err, "not other")
	})
	t.Run("not with the roots of another device", func(t *testing.T) {
		_, _, err := shake(t, listen, dial("broker", asking, stranger.roots()))
		require.ErrorContains(t, err, "unknown authority")
	})
	t.Run("an identity is no server", func(t *testing.T) {
		_, _, err := shake(t, &tls.Config{Certificates: []tls.Certificate{asking}, MinVersion: tls.VersionTLS12}, dial("sensor", asking, client.roots()))
		require.ErrorContains(t, err, "incompatible key usage")
	})
	t.Run("a server is no identity", func(t *testing.T) {
		_, err, _ := shake(t, listen, dial("broker", serving, client.roots()))
		require.ErrorContains(t, err, "incompatible key usage")
	})
	t.Run("after a restart and a renewal both are as good", func(t *testing.T) {
		d.Edged.Signal(syscall.SIGTERM)
		d.StartEdged()
		a := d.Host(http.MethodPost, "/device/ca/renew?"+device.Version, "")
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		anew, _ := client.certificate("/modules/sensor/certificate/identity", "")
		for _, c := range []tls.Certificate{asking, anew} {
			_, serverErr, clientErr := shake(t, listen, dial("broker", c, client.roots()))
			require.NoError(t, serverErr)
			require.NoError(t, clientErr)
		}
	})
}

func TestServerNamesAreTheModulesOwn(t *testing.T) {
	d := device.New(t, device.Options{Config: "[device]\nid = \"dev-1\"\ngateway = \"gw.example\"\n[[grant]]\nserver_names = [\"*.granted.example\", \"10.1.2.3\"]\nmodules = [\"sensor\"]\n"})
	identity(t, d, "$edgeHub")
	sensor, hub := run(t, d, "sensor"), run(t, d, "edgeHub")
	for _, c := range []struct {
		m    *member
		name string
		want int
	}{
		{sensor, "sensor", http.StatusCreated},
		{sensor, "SENSOR", http.StatusCreated},
		{sensor, sensor.env["HOSTNAME"], http.StatusCreated},
		{sensor, hub.env["HOSTNAME"], http.StatusForbidden},
		{sensor, "a.granted.example", http.StatusCreated},
		{sensor, "10.1.2.3", http.StatusCreated},
		{sensor, "10.1.2.4", http.StatusForbidden},
		{sensor, "a.b.granted.example", http.StatusForbidden},
		{sensor, "edgeHub", http.StatusForbidden},
		{sensor, "gw.example", http.StatusForbidden},
		{hub, "gw.example", http.StatusCreated},
		{hub, "dev-1", http.StatusCreated},
		{hub, "sensor", http.StatusForbidden},
		{hub, "a.granted.example", http.StatusForbidden},
	} {
		body, err := json.Marshal(map[string]string{"commonName": c.name})
		require.NoError(t, err)
		a := c.m.post(c.m.path("certificate/server"), string(body))
		require.Equal(t, c.want, a.Status, "%s as %s: %s", c.m.id(), c.name, a.Body)
	}
}

func TestExpirationIsHonouredWithinItsLimits(t *testing.T) {
	d := device.New(t, device.Options{})
	m := run(t, d, "sensor")
	soon := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	c, end := m.certificate(m.path("certificate/server"), `{"commonName":"sensor","expiration":"`+soon.Format(time.RFC3339)+`"}`)
	require.Equal(t, soon, end.UTC())
	require.Equal(t, soon, c.Leaf.NotAfter.UTC())
	_, end = m.certificate("/modules/sensor/certificate/identity", `{"expiration":"9999-01-01T00:00:00Z"}`)
	require.LessOrEqual(t, time.Until(end), 90*24*time.Hour)
	for _, bad := range []string{"2001-01-01T00:00:00Z", "tomorrow"} {
		a := m.post("/modules/sensor/certificate/identity", `{"expiration":"`+bad+`"}`)
		require.Equal(t, http.StatusBadRequest, a.Status)
		require.Contains(t, a.Message(), "expiration")
	}
}
