import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;

/** Writes the certificates, whose files are named on the standard input, to a key store without a password. The same files give the same bytes. */
final class TrustStore {
    private TrustStore() {
    }

    public static void main(String[] arguments) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        try (BufferedReader names = new BufferedReader(new InputStreamReader(System.in))) {
            for (String name = names.readLine(); name != null; name = names.readLine()) {
                Path file = Path.of(name);
                try (InputStream in = Files.newInputStream(file)) {
                    Certificate certificate = factory.generateCertificate(in);
                    store.setCertificateEntry(file.getFileName().toString(), certificate);
                }
            }
        }
        if (store.size() == 0) {
            throw new IllegalStateException("no certificate was named");
        }
        try (OutputStream out = Files.newOutputStream(Path.of(arguments[0]))) {
            store.store(out, null);
        }
    }
}
