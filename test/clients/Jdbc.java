/*
 * pgjdbc as Tableau and JVM tools use it: named statements after five executions, binary transfer, portals with a row
 * limit, metadata with remarks, pools, and every statement of bi_statements.sql in each query mode of the driver.
 *
 * Contract: `java -cp postgresql.jar Jdbc.java BI_STATEMENTS` with PGPORT, PGUSER and PGDATABASE naming a server on
 * 127.0.0.1 with fixture.sql loaded; prints TAP lines without numbers, ends with status 1 if any failed. Every answer
 * is compared in value, Java class and column type with hand-written SQL over public.orders on the same connection.
 */
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.postgresql.PGStatement;
import org.postgresql.util.PSQLException;

public class Jdbc {
    static final String NET = "sum(amount - refund) FILTER (WHERE status = 'paid')";
    static final String RATE = "(count(*) FILTER (WHERE status = 'paid'))::float8 / nullif(sum(visits), 0)";
    static final String PAID = "count(*) FILTER (WHERE status = 'paid')";
    static final String MISUSE = "SELECT net_revenue, count(*) FROM sales GROUP BY net_revenue";

    static final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    static int failed = 0;

    static void ok(boolean passed, String name, Object... diagnosis) {
        out.println((passed ? "ok - jdbc: " : "not ok - jdbc: ") + name);
        if (!passed) {
            failed++;
            for (Object each : diagnosis)
                each.toString().lines().forEach(line -> out.println("# " + line.substring(0, Math.min(500, line.length()))));
        }
    }

    static void same(String name, Object got, Object want) {
        ok(want.equals(got), name, "got  " + got, "want " + want);
    }

    /** Column types and rows of one execution, as text that names the Java class of every value. */
    record Answer(List<String> types, List<String> rows) {
        static List<String> types(ResultSetMetaData meta) throws SQLException {
            List<String> types = new ArrayList<>();
            for (int i = 1; i <= meta.getColumnCount(); i++)
                types.add(meta.getColumnTypeName(i) + "/" + meta.getColumnType(i) + "/" + meta.getColumnClassName(i));
            return types;
        }

        static Answer of(ResultSet result) throws SQLException {
            List<String> types = types(result.getMetaData()), rows = new ArrayList<>();
            while (result.next()) {
                List<String> row = new ArrayList<>();
                for (int i = 1; i <= types.size(); i++)
                    row.add(text(result.getObject(i)));
                rows.add(row.toString());
            }
            return new Answer(types, rows);
        }

        static String text(Object value) {
            if (value == null)
                return "null";
            String text = value instanceof BigDecimal number ? number.stripTrailingZeros().toPlainString()
                    : value.toString();
            if (text.startsWith("[{")) {        /* an aggregated JSON array loses the order of its elements */
                String[] elements = text.substring(1, text.length() - 1).split(", \n ");
                Arrays.sort(elements);
                text = Arrays.toString(elements);
            }
            return value.getClass().getSimpleName() + " " + text;
        }

        Answer sorted() {
            List<String> copy = new ArrayList<>(rows);
            Collections.sort(copy);
            return new Answer(types, copy);
        }
    }

    /** Opens a connection; options are URL parameters of the driver. */
    static Connection connect(String options) throws SQLException {
        Properties user = new Properties();
        user.setProperty("user", System.getenv("PGUSER"));
        return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + System.getenv("PGPORT") + "/"
                + System.getenv("PGDATABASE") + "?" + options, user);
    }

    static Answer query(Connection db, String sql, Object... parameters) throws SQLException {
        try (PreparedStatement statement = db.prepareStatement(sql)) {
            return execute(statement, parameters);
        }
    }

    static Answer execute(PreparedStatement statement, Object... parameters) throws SQLException {
        for (int i = 0; i < parameters.length; i++)
            statement.setObject(i + 1, parameters[i]);
        try (ResultSet result = statement.executeQuery()) {
            return Answer.of(result);
        }
    }

    static void compare(Connection db, String name, String sql, String byHand, Object... parameters) throws SQLException {
        Answer got = query(db, sql, parameters), want = query(db, byHand, parameters);
        ok(!want.rows.isEmpty() && got.sorted().equals(want.sorted()), name, "got  " + got, "want " + want);
    }

    static void redefine(Connection db, String version) throws SQLException {
        query(db, "SELECT kpi.alter_metric('metrics.net_revenue', definition => definition)::text"
                + " FROM metrics.net_revenue_versions WHERE version = ?", version);
    }

    /** The error's fields that a client can see: SQLSTATE, message and hint. */
    static List<String> fields(SQLException error) {
        var message = ((PSQLException) error).getServerErrorMessage();
        return Arrays.asList(error.getSQLState(), message == null ? error.getMessage() : message.getMessage(),
                message == null ? null : message.getHint());
    }

    /** Every statement of the list, seven times in each of the driver's modes; all modes must agree. */
    static void statements(String path) throws Exception {
        String text = Files.readString(Path.of(path)).replaceAll("(?m)^--.*\n", "");
        Matcher parts = Pattern.compile("(?ms)^/\\* (.+?) \\*/(.*?)(?=^/\\* |\\z)").matcher(text);
        String[] modes = {"extended text", "extended binary", "simple"};
        Connection[] connections = {connect("binaryTransfer=false"), connect("prepareThreshold=-1"),
            connect("preferQueryMode=simple")};
        while (parts.find()) {
            String name = parts.group(1), sql = parts.group(2);
            parts.find();
            String expect = parts.group(1).replace("expect: ", ""), byHand = parts.group(2);
            List<String> faults = new ArrayList<>();
            List<List<String>> errors = new ArrayList<>();
            for (int mode = 0; mode < modes.length; mode++) {
                String fault = verdict(connections[mode], sql, expect, byHand, errors);
                if (fault != null)
                    faults.add(modes[mode] + ": " + fault);
            }
            if (!errors.isEmpty() && Collections.frequency(errors, errors.get(0)) != modes.length)
                faults.add("modes differ: " + errors);
            ok(faults.isEmpty(), name, faults.toArray());
        }
        for (Connection connection : connections)
            connection.close();
    }

    /** What is wrong with one mode's answers, or null. An error is added to the list of errors. */
    static String verdict(Connection db, String sql, String expect, String byHand, List<List<String>> errors)
            throws SQLException {
        String[] error = expect.startsWith("KP") ? expect.split(" ") : null;
        List<Answer> answers = new ArrayList<>();
        try (PreparedStatement statement = db.prepareStatement(sql)) {
            for (int i = 0; i < 7; i++)
                answers.add(execute(statement));
        } catch (SQLException caught) {
            List<String> got = fields(caught);
            errors.add(got);
            boolean right = error == null ? expect.equals("rows or KP004") && got.get(0).equals("KP004")
                    : got.get(0).equals(error[0]) && (error.length == 1 || got.get(1).contains(error[1])) && got.get(2) != null;
            return right ? null : "got error " + got + ", want " + expect;
        }
        if (error != null)
            return "got " + answers.get(0) + ", want " + expect;
        Answer want = query(db, byHand);
        for (Answer got : answers) {
            boolean right = switch (expect) {
                case "some of" -> got.types.equals(want.types) && !got.rows.isEmpty() && want.rows.containsAll(got.rows);
                case "in order" -> got.equals(want);
                default -> got.sorted().equals(want.sorted());
            };
            if (!right)
                return "got  " + got + "\nwant " + want;
        }
        return null;
    }

    /** Parameters: described before execution, unnamed at first, then a named statement on the server. */
    static void prepared(String mode, String options) throws SQLException {
        String where = " WHERE order_date >= ? AND channel = ? GROUP BY region HAVING ";
        String sql = "SELECT region, SUM(net_revenue), AVG(conversion_rate), SUM(order_count), COUNT(order_count),"
                + " kpi.measure(\"客单价\") FROM sales" + where + "SUM(net_revenue) > ?";
        String byHand = "SELECT region, %1$s, " + RATE + ", (" + PAID + ")::numeric, " + PAID + ","
                + " %1$s / nullif(" + PAID + ", 0) FROM orders" + where + "%1$s > ?";
        Object[] parameters = {Date.valueOf("2024-01-01"), "web", new BigDecimal("1000.50")};
        try (Connection db = connect(options); Connection other = connect("");
                PreparedStatement statement = db.prepareStatement(sql)) {
            Answer net = query(db, byHand.formatted(NET), parameters).sorted();
            Answer gross = query(db, byHand.formatted("sum(amount)"), parameters).sorted();
            same(mode + ": types described before execution", Answer.types(statement.getMetaData()), net.types);
            try (PreparedStatement hand = db.prepareStatement(byHand.formatted(NET))) {
                same(mode + ": the parameter compared with a measure has its type",
                        statement.getParameterMetaData().getParameterTypeName(3),
                        hand.getParameterMetaData().getParameterTypeName(3));
            }
            for (int i = 1; i <= 7; i++)
                same(mode + ": execution " + i, execute(statement, parameters).sorted(), net);
            ok(((PGStatement) statement).isUseServerPrepare(), mode + ": the statement is named on the server");
            redefine(other, "gross");
            try {
                same(mode + ": a redefinition is seen by the named statement", execute(statement, parameters).sorted(), gross);
            } finally {
                redefine(other, "net");
            }
            same(mode + ": so is its return", execute(statement, parameters).sorted(), net);
            ok(!net.rows.isEmpty() && !net.equals(gross), mode + ": the two definitions differ on the fixture");
        }
    }

    /** Row-limited portals in read-only transactions: suspended, interleaved with other statements, closed midway, scrolled. */
    static void portals(String mode, String options) throws SQLException {
        try (Connection db = connect(options); Statement statement = db.createStatement()) {
            db.setReadOnly(true);
            db.setAutoCommit(false);
            statement.setFetchSize(50);
            BigDecimal sum = BigDecimal.ZERO;
            long paid = 0;
            int rows = 0;
            Answer between = null;
            String columns = "SELECT region, order_date, net_revenue, conversion_rate, order_count FROM sales";
            try (ResultSet extract = statement.executeQuery(columns)) {
                while (extract.next()) {
                    rows++;
                    BigDecimal contribution = extract.getBigDecimal(3);
                    sum = contribution == null ? sum : sum.add(contribution);
                    paid += extract.getLong(5);
                    if (rows == 75)
                        between = query(db, "SELECT SUM(net_revenue) AS sum FROM sales");
                }
            }
            Answer total = query(db, "SELECT " + NET + " AS sum FROM orders");
            same(mode + ": a statement between two fetches", between, total);
            same(mode + ": the rows of an extract add up to the total",
                    List.of(Arrays.asList(Answer.text((long) rows), Answer.text(sum), Answer.text(paid)).toString()),
                    query(db, "SELECT count(*), " + NET + ", " + PAID + " FROM orders").rows);

            statement.setFetchSize(1);
            String month = "SELECT date_trunc('month', order_date), ";
            String monthly = month + "SUM(net_revenue) FROM sales GROUP BY 1 ORDER BY 1";
            String byHand = month + NET + " FROM orders GROUP BY 1 ORDER BY 1";
            try (ResultSet result = statement.executeQuery(monthly)) {
                same(mode + ": grouped, one row a fetch", Answer.of(result), query(db, byHand));
            }
            try (ResultSet result = statement.executeQuery(monthly)) {
                result.next();
            }
            db.commit();
            same(mode + ": after a portal closed midway", query(db, monthly), query(db, byHand));
            db.commit();
        }
    }

    /** What a tool reads to fill its field list. */
    static void metadata() throws SQLException {
        try (Connection db = connect("")) {
            List<String> got = new ArrayList<>(), want = new ArrayList<>();
            Map<String, String> remarks = new HashMap<>();
            try (ResultSet columns = db.getMetaData().getColumns(null, "public", "sales", null)) {
                while (columns.next()) {
                    remarks.put(columns.getString("COLUMN_NAME"), columns.getString("REMARKS"));
                    got.add(columns.getString("COLUMN_NAME") + "|" + columns.getString("TYPE_NAME") + "|"
                            + columns.getString("REMARKS"));
                    ok(!List.of(Types.DISTINCT, Types.OTHER, Types.STRUCT).contains(columns.getInt("DATA_TYPE")),
                            "getColumns: " + columns.getString("COLUMN_NAME") + " has a standard type");
                }
            }
            try (Statement statement = db.createStatement()) {
                try (ResultSet rows = statement.executeQuery("""
                        SELECT concat_ws('|', attname, typname, coalesce(col_description(attrelid, attnum), 'null'))
                        FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
                        WHERE attrelid = 'public.sales'::regclass AND attnum > 0 ORDER BY attnum""")) {
                    while (rows.next())
                        want.add(rows.getString(1));
                }
                same("getColumns: names, types and remarks", got, want);
                try (ResultSet rows = statement.executeQuery("""
                        SELECT name, label, coalesce(unit, '') FROM kpi.measures
                        WHERE metric_view = 'public.sales'::regclass""")) {
                    ok(rows.isBeforeFirst(), "kpi.measures lists the measures");
                    while (rows.next())
                        ok(remarks.get(rows.getString(1)).contains(rows.getString(2))
                                && remarks.get(rows.getString(1)).contains(rows.getString(3)),
                                "getColumns: the remarks of " + rows.getString(1) + " carry its label and unit", remarks);
                }
            }

            try (ResultSet tables = db.getMetaData().getTables(null, "public", "sales", new String[] {"VIEW"})) {
                ok(tables.next(), "getTables: the metric view is a view");
                same("getTables: its remarks are its comment", List.of("[String " + tables.getString("REMARKS") + "]"),
                        query(db, "SELECT obj_description('public.sales'::regclass)").rows);
            }
            same("getMetaData: types of the empty preview", query(db, "SELECT * FROM sales WHERE 1 = 0").types,
                    query(db, "SELECT region, channel, order_date, created_at, \"城市\", " + String.join(", ", NET, RATE, PAID, NET)
                            + " FROM orders GROUP BY 1, 2, 3, 4, 5 LIMIT 0").types);
        }
    }

    /** Errors of misuse, with and without a transaction, and DISCARD ALL as a pool sends it. */
    static void errors(String mode, String options) throws SQLException {
        String sql = "SELECT SUM(net_revenue) AS sum FROM sales", byHand = "SELECT " + NET + " AS sum FROM orders";
        try (Connection db = connect(options)) {
            List<String> error = Arrays.asList("", "", null);
            try (PreparedStatement statement = db.prepareStatement(MISUSE)) {
                execute(statement);
            } catch (SQLException caught) {
                error = fields(caught);
            }
            same(mode + ": grouping by a measure raises KP002", error.get(0), "KP002");
            ok(error.get(1).contains("net_revenue") && error.get(2) != null,
                    mode + ": the error names the measure and has a hint", error);
            compare(db, mode + ": the connection stays usable", sql, byHand);
            try (Statement statement = db.createStatement()) {
                statement.execute("DISCARD ALL");
            }
            compare(db, mode + ": after DISCARD ALL", sql, byHand);
        }
        try (Connection db = connect(options + "&autosave=always")) {
            db.setAutoCommit(false);
            List<String> error = List.of("");
            try {
                query(db, MISUSE);
            } catch (SQLException caught) {
                error = fields(caught);
            }
            same(mode + ": in a transaction too", error.get(0), "KP002");
            compare(db, mode + ": the transaction goes on with autosave", sql, byHand);
            db.commit();
        }
    }

    public static void main(String[] arguments) throws Exception {
        statements(arguments[0]);
        prepared("default", "");
        prepared("binary", "prepareThreshold=-1");
        prepared("text", "binaryTransfer=false&prepareThreshold=1");
        portals("portal", "");
        portals("binary portal", "prepareThreshold=-1");
        metadata();
        errors("default", "");
        errors("binary", "prepareThreshold=-1");
        System.exit(failed == 0 ? 0 : 1);
    }
}
