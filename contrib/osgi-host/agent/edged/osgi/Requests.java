package edged.osgi;

import java.io.EOFException;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.RejectedExecutionException;

/** Takes requests from a connection and runs each in a thread of its own: an activator that never returns costs a thread and nobody's time. */
final class Requests {
    private static final int AT_ONCE = 64;
    /** Bytes of stack of these threads, which run the activators of bundles. */
    private static final long STACK = 1 << 20;

    private final Operations operations;
    private final Path spool;
    private final ExecutorService threads;

    Requests(Operations operations, Path spool) {
        this.operations = operations;
        this.spool = spool;
        this.threads = new ThreadPoolExecutor(0, AT_ONCE, 5, TimeUnit.SECONDS, new SynchronousQueue<>(), work -> {
            Thread thread = new Thread(null, work, "operation", STACK);
            thread.setDaemon(true);
            return thread;
        });
    }

    /** Reads the next request and sets it going; false: the connection is of no more use. */
    boolean next(Input input, Connection to) throws IOException {
        Object id = null;
        try {
            Request request;
            try {
                request = new Request(JsonReader.read(input.line()));
                id = request.id();
            } catch (IllegalArgumentException e) {
                to.send(failed(id, e));
                return true;
            }
            Spool bytes = null;
            if (request.has("size")) {
                long size;
                try {
                    size = request.number("size");
                } catch (IllegalArgumentException e) {
                    to.send(failed(id, e));
                    return false;
                }
                bytes = Spool.read(input, size, spool);
            }
            start(request, bytes, to);
            return true;
        } catch (EOFException | ClosedChannelException e) {
            throw e;
        } catch (IOException e) {
            to.send(failed(id, new IllegalArgumentException(e.getMessage())));
            return false;
        }
    }

    private void start(Request request, Spool bytes, Connection to) {
        try {
            threads.execute(() -> {
                String answer;
                try (bytes) {
                    answer = answered(request.id(), operations.run(request, bytes));
                } catch (Throwable t) {
                    // Errors too: a bundle whose class is not there throws one.
                    answer = failed(request.id(), t);
                }
                to.send(answer);
            });
        } catch (RejectedExecutionException e) {
            if (bytes != null) {
                bytes.close();
            }
            to.send(failed(request.id(), new IllegalStateException(AT_ONCE + " operations are under way")));
        }
    }

    private static String answered(Object id, Object value) {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("id", id);
        answer.put("ok", value);
        return JsonWriter.write(answer);
    }

    private static String failed(Object id, Throwable why) {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("id", id);
        answer.put("error", Failure.describe(why));
        return JsonWriter.write(answer);
    }
}
