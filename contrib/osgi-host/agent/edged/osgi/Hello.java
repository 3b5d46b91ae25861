package edged.osgi;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;

import org.osgi.framework.Constants;
import org.osgi.framework.Version;
import org.osgi.framework.launch.Framework;

/** The first line of each connection. */
final class Hello {
    private Hello() {
    }

    /** Made once a run, so that edged can tell a framework that started again from a connection that did. */
    static String line(Framework framework, String recovered) {
        Map<String, Object> hello = new LinkedHashMap<>();
        hello.put("hello", 1);
        hello.put("session", UUID.randomUUID().toString());
        hello.put("framework", framework.getSymbolicName());
        hello.put("version", framework.getVersion().toString());
        hello.put("vendor", framework.getBundleContext().getProperty(Constants.FRAMEWORK_VENDOR));
        hello.put("osgi", Version.parseVersion(framework.getBundleContext().getProperty(Constants.FRAMEWORK_VERSION)).toString());
        hello.put("java", System.getProperty("java.version"));
        hello.put("javaLevel", Runtime.version().feature());
        if (recovered != null) {
            hello.put("recovered", recovered);
        }
        return JsonWriter.write(hello);
    }
}
