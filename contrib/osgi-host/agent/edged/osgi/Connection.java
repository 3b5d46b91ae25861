package edged.osgi;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/** One connection to edged. Lines to it are queued: who makes them, often a thread of the framework with locks held, never waits for edged. */
final class Connection {
    /** Lines that wait; with more the connection ends, and edged connects and lists anew. */
    private static final int WAITING = 10_000;

    private final SocketChannel channel;
    private final BlockingQueue<String> waiting = new ArrayBlockingQueue<>(WAITING);
    private volatile boolean writing;

    Connection(SocketChannel channel) {
        this.channel = channel;
    }

    void send(String line) {
        if (channel.isOpen() && !waiting.offer(line)) {
            Log.say("edged does not read: " + WAITING + " lines wait, the connection is closed");
            close();
        }
    }

    void close() {
        try {
            channel.close();
        } catch (IOException e) {
            // There is nothing left to do for it.
        }
    }

    /** Reads requests until the connection ends, and says whether there was one. */
    boolean serve(Requests requests) throws IOException {
        Thread writer = new Thread(this::write, "to-edged");
        writer.setDaemon(true);
        writer.start();
        boolean any = false;
        try {
            Input input = new Input(channel);
            while (requests.next(input, this)) {
                any = true;
            }
        } catch (EOFException | ClosedChannelException e) {
            // An edged that restarts is nothing out of the ordinary.
        } finally {
            drain();
            close();
            writer.interrupt();
        }
        return any;
    }

    /** Gives what was answered last, why the connection ends, a moment to be read. */
    private void drain() {
        for (int i = 0; i < 50 && channel.isOpen() && (writing || !waiting.isEmpty()); i++) {
            try {
                Thread.sleep(10);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            }
        }
    }

    private void write() {
        try {
            while (true) {
                String line = waiting.take();
                writing = true;
                ByteBuffer bytes = ByteBuffer.wrap((line + "\n").getBytes(StandardCharsets.UTF_8));
                while (bytes.hasRemaining()) {
                    channel.write(bytes);
                }
                writing = false;
            }
        } catch (IOException | InterruptedException e) {
            close();
        }
    }
}
