package edged.osgi;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/** One connection to edged. Lines to it are queued: who makes them, often a thread of the framework with locks held, never waits for edged. */
final class Connection {
    /** Lines that wait; with more the connection ends, and edged connects and lists anew. */
    private static final int WAITING = 10_000;
    /** Nanoseconds that a line may hold up whoever gives it. */
    private static final long MOMENT = 50_000_000;

    private final SocketChannel channel;
    private final BlockingQueue<String> waiting = new ArrayBlockingQueue<>(WAITING);
    /** Lines that were given, and that were written. */
    private final AtomicLong given = new AtomicLong();
    private final AtomicLong written = new AtomicLong();
    /** Set when edged did not read for a moment, until it does. */
    private volatile boolean stuck;

    Connection(SocketChannel channel) {
        this.channel = channel;
    }

    /** Puts a line into the queue and says how many were given with it. */
    long send(String line) {
        long number = given.incrementAndGet();
        if (channel.isOpen() && !waiting.offer(line)) {
            Log.say("edged does not read: " + WAITING + " lines wait, the connection is closed");
            close();
        }
        return number;
    }

    /** As send, and waits until the kernel has the line: no longer than a moment, should edged not read. */
    void sendNow(String line) {
        long number = send(line);
        long end = System.nanoTime() + MOMENT;
        while (written.get() < number && channel.isOpen() && !stuck) {
            LockSupport.parkNanos(20_000);
            stuck = System.nanoTime() > end;
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
        for (int i = 0; i < 50 && channel.isOpen() && written.get() < given.get(); i++) {
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
                ByteBuffer bytes = ByteBuffer.wrap((line + "\n").getBytes(StandardCharsets.UTF_8));
                while (bytes.hasRemaining()) {
                    channel.write(bytes);
                }
                written.incrementAndGet();
                stuck = false;
            }
        } catch (IOException | InterruptedException e) {
            close();
        }
    }
}
