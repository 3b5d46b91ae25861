package edged.osgi;

import java.util.LinkedHashMap;
import java.util.Map;

import org.osgi.framework.BundleContext;
import org.osgi.framework.BundleEvent;
import org.osgi.framework.FrameworkEvent;
import org.osgi.framework.FrameworkListener;
import org.osgi.framework.SynchronousBundleListener;

/** Tells edged what happens in the framework, whoever caused it. */
final class Events {
    private final Describe describe;
    private volatile Link link;

    Events(Describe describe) {
        this.describe = describe;
    }

    void sendTo(Link to) {
        link = to;
    }

    void listen(BundleContext context) {
        // Called in the thread that makes the change, so that the event is on its way before the answer to what caused it.
        SynchronousBundleListener bundles = this::bundle;
        FrameworkListener framework = this::framework;
        context.addBundleListener(bundles);
        context.addFrameworkListener(framework);
    }

    private void bundle(BundleEvent event) {
        Link to = link;
        if (to == null) {
            return;
        }
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("event", "bundle");
        line.put("type", type(event.getType()));
        line.put("bundle", describe.bundle(event.getBundle()));
        if (event.getType() == BundleEvent.STARTING) {
            // Its activator may end the process: edged is to know which bundle that was.
            to.tellNow(JsonWriter.write(line));
        } else {
            to.tell(JsonWriter.write(line));
        }
    }

    private void framework(FrameworkEvent event) {
        // The framework's own log is turned off: what it says is said here, and so is kept by edged with the rest of the container's output.
        if (event.getType() == FrameworkEvent.ERROR || event.getType() == FrameworkEvent.WARNING) {
            Log.say(type(event) + " in " + event.getBundle() + ": " + Failure.text(event.getThrowable()));
        }
        Link to = link;
        if (to == null) {
            return;
        }
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("event", "framework");
        line.put("type", type(event));
        line.put("bundle", describe.bundle(event.getBundle()));
        line.put("text", Failure.text(event.getThrowable()));
        to.tell(JsonWriter.write(line));
    }

    private static String type(int bundleEvent) {
        return switch (bundleEvent) {
            case BundleEvent.INSTALLED -> "INSTALLED";
            case BundleEvent.RESOLVED -> "RESOLVED";
            case BundleEvent.LAZY_ACTIVATION -> "LAZY_ACTIVATION";
            case BundleEvent.STARTING -> "STARTING";
            case BundleEvent.STARTED -> "STARTED";
            case BundleEvent.STOPPING -> "STOPPING";
            case BundleEvent.STOPPED -> "STOPPED";
            case BundleEvent.UPDATED -> "UPDATED";
            case BundleEvent.UNRESOLVED -> "UNRESOLVED";
            case BundleEvent.UNINSTALLED -> "UNINSTALLED";
            default -> Integer.toString(bundleEvent);
        };
    }

    private static String type(FrameworkEvent event) {
        return switch (event.getType()) {
            case FrameworkEvent.STARTED -> "STARTED";
            case FrameworkEvent.ERROR -> "ERROR";
            case FrameworkEvent.WARNING -> "WARNING";
            case FrameworkEvent.INFO -> "INFO";
            case FrameworkEvent.PACKAGES_REFRESHED -> "PACKAGES_REFRESHED";
            case FrameworkEvent.STARTLEVEL_CHANGED -> "STARTLEVEL_CHANGED";
            case FrameworkEvent.STOPPED -> "STOPPED";
            case FrameworkEvent.STOPPED_UPDATE -> "STOPPED_UPDATE";
            default -> Integer.toString(event.getType());
        };
    }
}
