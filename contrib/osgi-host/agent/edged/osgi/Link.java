package edged.osgi;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;

/** Keeps a connection to edged, which may restart while the framework runs on. */
final class Link implements Runnable {
    private static final long SHORTEST = 100;
    private static final long LONGEST = 2_000;

    private final Path socket;
    private final String hello;
    private final Requests requests;
    private volatile Connection current;

    Link(Path socket, String hello, Requests requests) {
        this.socket = socket;
        this.hello = hello;
        this.requests = requests;
    }

    @Override
    public void run() {
        long wait = SHORTEST;
        String said = "";
        while (true) {
            String end = "edged closed the connection";
            // Asked anything means that edged is well: one that takes connections only to close them is not called ten times a second.
            boolean served = false;
            try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
                channel.connect(UnixDomainSocketAddress.of(socket));
                Connection connection = new Connection(channel);
                connection.send(hello);
                current = connection;
                served = connection.serve(requests);
            } catch (IOException e) {
                end = Failure.text(e);
            } catch (RuntimeException | Error e) {
                end = Failure.text(e);
                e.printStackTrace();
            }
            current = null;
            if (served) {
                wait = SHORTEST;
                said = "";
            }
            if (!end.equals(said)) {
                Log.say("no connection to edged at " + socket + ", trying again: " + end);
                said = end;
            }
            try {
                Thread.sleep(wait);
            } catch (InterruptedException e) {
                return;
            }
            wait = Math.min(2 * wait, LONGEST);
        }
    }

    /** As tell, and waits a moment until it is on its way. */
    void tellNow(String line) {
        Connection connection = current;
        if (connection != null) {
            connection.sendNow(line);
        }
    }

    /** Tells edged, if it is there: one that is not will ask for everything when it comes. */
    void tell(String line) {
        Connection connection = current;
        if (connection != null) {
            connection.send(line);
        }
    }
}
