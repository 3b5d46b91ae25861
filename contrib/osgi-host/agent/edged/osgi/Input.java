package edged.osgi;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ReadableByteChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** What edged sends: lines, and raw bytes between them. */
final class Input {
    /** Bytes of a line without its end. */
    private static final int LONGEST = 1 << 20;

    private final ReadableByteChannel channel;
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 16).flip();

    Input(ReadableByteChannel channel) {
        this.channel = channel;
    }

    /** Reads up to the next LF. IllegalArgumentException: it is not UTF-8, the next line can be read. IOException: there is no next line. */
    String line() throws IOException {
        byte[] line = new byte[512];
        int length = 0;
        while (true) {
            fill();
            byte b = buffer.get();
            if (b == '\n') {
                break;
            }
            if (length == LONGEST) {
                throw new IOException("a line is longer than " + LONGEST + " bytes");
            }
            if (length == line.length) {
                line = Arrays.copyOf(line, 2 * length);
            }
            line[length++] = b;
        }
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(line, 0, length)).toString();
        } catch (CharacterCodingException e) {
            throw new IllegalArgumentException("the request is not UTF-8");
        }
    }

    /** Reads the next raw bytes, at least one and at most the length, and gives how many. */
    int raw(byte[] into, long length) throws IOException {
        fill();
        int n = (int) Math.min(Math.min(length, into.length), buffer.remaining());
        buffer.get(into, 0, n);
        return n;
    }

    private void fill() throws IOException {
        while (!buffer.hasRemaining()) {
            buffer.clear();
            int n = channel.read(buffer);
            buffer.flip();
            if (n < 0) {
                throw new EOFException("the connection ended");
            }
        }
    }
}
