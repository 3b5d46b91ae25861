package edged.osgi;

import java.io.IOException;
import java.nio.file.Files;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.TreeMap;

import org.osgi.framework.BundleException;
import org.osgi.framework.Constants;
import org.osgi.framework.launch.Framework;
import org.osgi.framework.launch.FrameworkFactory;
import org.osgi.framework.startlevel.FrameworkStartLevel;

/** The framework of this run, and whether it had to begin anew. */
final class Launch {
    /** Where edged's bundles start when nobody says otherwise: after the host's own, which have levels below ten. */
    private static final int BUNDLES = 80;
    /** Milliseconds for bundles to start in. */
    private static final long PATIENCE = 5_000;

    /** What the framework's class path has besides the framework: felix-scr, like others, wants these and no bundle has them. */
    private static final String PACKAGES = "org.osgi.util.promise;version=\"1.1.1\";uses:=\"org.osgi.util.function\","
            + "org.osgi.util.function;version=\"1.1.0\"";

    private final Framework framework;
    private final String recovered;

    private Launch(Framework framework, String recovered) {
        this.framework = framework;
        this.recovered = recovered;
    }

    /** Reads the storage, or begins anew where it cannot be read. */
    static Launch begin(Settings settings) throws IOException, BundleException {
        FrameworkFactory factory = ServiceLoader.load(FrameworkFactory.class).findFirst()
                .orElseThrow(() -> new IllegalStateException("no FrameworkFactory is on the class path"));
        Files.createDirectories(settings.framework());
        try {
            Framework framework = init(factory, settings);
            String lost = Digests.lost(settings.digests(), framework.getBundleContext());
            if (lost == null) {
                return new Launch(framework, null);
            }
            // A framework may take a storage that it cannot read for an empty one. What is left of it would be in the way.
            stop(framework);
            return anew(factory, settings, lost);
        } catch (BundleException | RuntimeException e) {
            return anew(factory, settings, Failure.text(e));
        }
    }

    private static Launch anew(FrameworkFactory factory, Settings settings, String why) throws IOException, BundleException {
        // A disk that is full or broken is another matter: what is there may be whole, and the next start may read it.
        Folders.probe(settings.storage());
        Log.say("the storage cannot be read and is begun anew: " + why);
        // The notes go first: one that is left over would speak of another bundle.
        Folders.clear(settings.digests());
        Folders.clear(settings.ownDigests());
        Folders.clear(settings.framework());
        return new Launch(init(factory, settings), why);
    }

    private static Framework init(FrameworkFactory factory, Settings settings) throws BundleException {
        Framework framework = factory.newFramework(configuration(settings));
        try {
            framework.init();
        } catch (BundleException | RuntimeException e) {
            stop(framework);
            throw e;
        }
        framework.adapt(FrameworkStartLevel.class).setInitialBundleStartLevel(BUNDLES);
        return framework;
    }

    private static void stop(Framework framework) {
        try {
            framework.stop();
            framework.waitForStop(5_000);
        } catch (Exception e) {
            Log.say("cannot stop a framework that did not begin: " + Failure.text(e));
        }
    }

    private static Map<String, String> configuration(Settings settings) {
        Map<String, String> all = new TreeMap<>();
        all.put(Constants.FRAMEWORK_STORAGE, settings.framework().toString());
        all.put(Constants.FRAMEWORK_BEGINNING_STARTLEVEL, Integer.toString(settings.level()));
        all.put(Constants.FRAMEWORK_SYSTEMPACKAGES_EXTRA, PACKAGES);
        // Equinox's own: it would write down what changed half a minute later, and keep a log of its own on the disk. Other frameworks ignore both.
        all.put("eclipse.stateSaveDelayInterval", "0");
        all.put("eclipse.log.enabled", "false");
        settings.properties().forEach((key, value) -> {
            boolean list = key.equals(Constants.FRAMEWORK_SYSTEMPACKAGES_EXTRA);
            all.merge(key, value, (ours, theirs) -> list ? ours + "," + theirs : theirs);
        });
        return all;
    }

    /**
     * Starts the framework up to its first level, and with it the bundles that are persistently started. It returns without waiting for one whose activator
     * does not come to an end: edged has to be able to do something about it.
     */
    void start() throws InterruptedException {
        Thread thread = new Thread(() -> {
            try {
                framework.start();
            } catch (BundleException | RuntimeException e) {
                Log.say("cannot start the framework: " + Failure.text(e));
                System.exit(1);
            }
        }, "start");
        thread.setDaemon(true);
        thread.start();
        thread.join(PATIENCE);
        if (thread.isAlive()) {
            Log.say("bundles are starting for " + PATIENCE + " ms; edged is asked in the meantime");
        }
    }

    Framework framework() {
        return framework;
    }

    /** Why the storage was begun anew, or null. */
    String recovered() {
        return recovered;
    }
}
