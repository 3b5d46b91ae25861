package edged.osgi;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A request's members. IllegalArgumentException tells which one is not what it has to be. */
final class Request {
    private final Map<?, ?> members;
    private final long id;

    Request(Object value) {
        if (!(value instanceof Map<?, ?> object)) {
            throw new IllegalArgumentException("a request is an object");
        }
        members = object;
        id = number("id");
    }

    long id() {
        return id;
    }

    boolean has(String name) {
        return members.containsKey(name);
    }

    /** A whole number that is not negative. */
    long number(String name) {
        if (members.get(name) instanceof Long value && value >= 0) {
            return value;
        }
        throw new IllegalArgumentException(name + " has to be a number that is whole and not negative");
    }

    String string(String name) {
        if (members.get(name) instanceof String value && !value.isEmpty()) {
            return value;
        }
        throw new IllegalArgumentException(name + " has to be a string that is not empty");
    }

    /** A truth value; absent is false. */
    boolean flag(String name) {
        if (!has(name)) {
            return false;
        }
        if (members.get(name) instanceof Boolean value) {
            return value;
        }
        throw new IllegalArgumentException(name + " has to be true or false");
    }

    /** Whole numbers; absent and null are null. */
    List<Long> numbers(String name) {
        Object value = members.get(name);
        if (value == null) {
            return null;
        }
        List<Long> all = new ArrayList<>();
        if (value instanceof List<?> items) {
            for (Object item : items) {
                if (item instanceof Long number) {
                    all.add(number);
                }
            }
            if (all.size() == items.size()) {
                return all;
            }
        }
        throw new IllegalArgumentException(name + " has to be a list of whole numbers");
    }
}
