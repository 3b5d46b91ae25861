package edged.osgi;

import java.util.LinkedHashMap;
import java.util.Map;

import org.osgi.framework.BundleException;

/** What is said of a throwable. Its class may be a bundle's own, whose methods throw in their turn. */
final class Failure {
    /** Characters of a text: a resolver that tells all it tried has no end. */
    private static final int LONGEST = 16_384;

    private Failure() {
    }

    /** The value of an answer's member "error". */
    static Map<String, Object> describe(Throwable t) {
        Map<String, Object> error = new LinkedHashMap<>();
        error.put("class", t.getClass().getName());
        if (t instanceof BundleException e) {
            error.put("type", e.getType());
        }
        error.put("message", message(t));
        Throwable root = root(t);
        if (root != t) {
            error.put("cause", string(root));
        }
        return error;
    }

    /** The throwable and its root cause on one line. */
    static String text(Throwable t) {
        if (t == null) {
            return "";
        }
        Throwable root = root(t);
        return root == t ? string(t) : string(t) + ": " + string(root);
    }

    private static Throwable root(Throwable t) {
        Throwable root = t;
        // Bounded: causes can be made a circle.
        for (int i = 0; i < 100; i++) {
            Throwable next;
            try {
                next = root.getCause();
            } catch (Throwable broken) {
                return root;
            }
            if (next == null) {
                return root;
            }
            root = next;
        }
        return root;
    }

    private static String message(Throwable t) {
        try {
            return t.getMessage() == null ? string(t) : cut(t.getMessage());
        } catch (Throwable broken) {
            return t.getClass().getName();
        }
    }

    private static String string(Throwable t) {
        try {
            return cut(t.toString());
        } catch (Throwable broken) {
            return t.getClass().getName();
        }
    }

    private static String cut(String text) {
        return text.length() <= LONGEST ? text : text.substring(0, LONGEST) + "...";
    }
}
