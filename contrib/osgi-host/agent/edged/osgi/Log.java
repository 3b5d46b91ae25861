package edged.osgi;

/** What the agent itself has to say. edged keeps what the container prints, so stderr is the log. */
final class Log {
    private Log() {
    }

    static void say(String text) {
        System.err.println("osgi-host: " + text);
    }
}
