package edged.osgi;

import org.osgi.framework.launch.Framework;

/** Starts the framework, then the link to edged, and ends with the framework. */
public final class Main {
    /** A stop that takes longer than this, milliseconds, is cut off: whoever sent SIGTERM sends SIGKILL soon. */
    private static final long STOP = 8_000;
    /** The same where a bundle called System.exit: its own thread, which never returns now, may be what the stop waits for. */
    private static final long EXIT = 1_000;

    private Main() {
    }

    public static void main(String[] arguments) {
        try {
            run(Settings.of(System.getenv()));
        } catch (Throwable t) {
            Log.say("cannot run: " + Failure.text(t));
            t.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void run(Settings settings) throws Exception {
        // Where bundles find a place for temporary files: the image's java.args name it.
        Folders.clear(settings.temporary());
        Folders.clear(settings.spool());

        Launch launch = Launch.begin(settings);
        Framework framework = launch.framework();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> end(framework), "stop"));

        Digests digests = Digests.open(settings.digests(), framework.getBundleContext());
        HostBundles own = new HostBundles(settings.hostBundles(), settings.ownDigests(), framework);
        Events events = new Events(new Describe(digests));
        events.listen(framework.getBundleContext());
        own.settle();
        launch.start();

        Operations operations = new Operations(framework, settings.framework(), digests, own, new Describe(digests));
        Link link = new Link(settings.socket(), Hello.line(framework, launch.recovered()), new Requests(operations, settings.spool()));
        events.sendTo(link);
        Thread thread = new Thread(link, "edged");
        thread.setDaemon(true);
        thread.start();

        framework.waitForStop(0);
        // Where a signal came the hook has the last word. Else a bundle stopped the framework, and edged's restart policy shall bring it back.
        System.exit(1);
    }

    /** Ends the process: status 0 when a signal asked for it, and 1 when a bundle called System.exit or the framework stopped by itself. */
    private static void end(Framework framework) {
        boolean asked = signalled();
        try {
            framework.stop();
            framework.waitForStop(asked ? STOP : EXIT);
        } catch (Exception e) {
            Log.say("cannot stop in good order: " + Failure.text(e));
        }
        if (!asked) {
            Log.say("a bundle ended the framework or the process");
        }
        Runtime.getRuntime().halt(asked ? 0 : 1);
    }

    /** Whether a signal began the end. Nothing in the standard API says so, but the JVM's own thread for it waits for this hook now. */
    private static boolean signalled() {
        for (StackTraceElement[] stack : Thread.getAllStackTraces().values()) {
            for (StackTraceElement frame : stack) {
                if (frame.getClassName().startsWith("java.lang.Terminator$")) {
                    return true;
                }
            }
        }
        return false;
    }
}
