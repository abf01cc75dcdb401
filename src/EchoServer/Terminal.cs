using System;
using System.Globalization;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

namespace CivetWeb.Net.EchoServer;

/// <summary>How much is told.</summary>
internal enum LogLevel
{
    Quiet,
    Normal,
    Debug,
}

/// <summary>Colours, by their ANSI number.</summary>
internal enum Colour
{
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
    Grey = 90,
}

/// <summary>The console: lines by level, colours for a terminal only, a key.</summary>
internal sealed class Terminal(LogLevel level)
{
    private static readonly bool ColoursWanted =
        string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
        && Environment.GetEnvironmentVariable("TERM") != "dumb"
        && (!OperatingSystem.IsWindows() || Environment.GetEnvironmentVariable("WT_SESSION") is not null);

    private readonly bool _colours = ColoursWanted && !Console.IsOutputRedirected;

    public LogLevel Level => level;

    /// <summary>A line at every level.</summary>
    public static void Always(string line) => Console.Out.WriteLine(line);

    /// <summary>A line for what went wrong.</summary>
    public static void Error(string line) =>
        Console.Error.WriteLine(ColoursWanted && !Console.IsErrorRedirected ? Painted(line, Colour.Red) : line);

    /// <summary>A line for what a client did.</summary>
    public void Normal(string line, Colour? colour = null)
    {
        if (level >= LogLevel.Normal)
        {
            Always(Timed(Paint(line, colour)));
        }
    }

    /// <summary>A line for those who look closely.</summary>
    public void Debug(string line)
    {
        if (level >= LogLevel.Debug)
        {
            Always(Timed(Paint(line, Colour.Grey)));
        }
    }

    /// <summary>The text in a colour, where colours are wanted.</summary>
    public string Paint(string text, Colour? colour) => _colours && colour is Colour c ? Painted(text, c) : text;

    /// <summary>
    /// A client's text on one line, in short: it must not move the cursor, colour the terminal or turn the line around.
    /// </summary>
    public static string Printable(ReadOnlySpan<byte> utf8)
    {
        const int Longest = 200;
        return Printable(Encoding.UTF8.GetString(utf8[..Math.Min(utf8.Length, Longest)])) + (utf8.Length > Longest ? "..." : "");
    }

    /// <inheritdoc cref="Printable(ReadOnlySpan{byte})"/>
    public static string Printable(string text) => string.Create(text.Length, text, static (span, source) =>
    {
        for (int i = 0; i < span.Length; i++)
        {
            span[i] = char.IsControl(source[i]) || source[i] is (>= '\u2028' and <= '\u202E') or (>= '\u2066' and <= '\u2069') ? '.' : source[i];
        }
    });

    /// <summary>Calls when that key is pressed, if there is a keyboard; tells whether there is.</summary>
    public static bool OnKey(char key, Action action)
    {
        if (Console.IsInputRedirected || !IsInForeground())
        {
            return false;
        }

        new Thread(() => WatchKeys(key, action)) { IsBackground = true, Name = "keys" }.Start();
        return true;
    }

    // Asked five times a second: a read would stop the whole process (SIGTTIN) once the shell has put it in the background.
    private static void WatchKeys(char key, Action action)
    {
        try
        {
            for (; ; Thread.Sleep(200))
            {
                while (IsInForeground() && Console.KeyAvailable)
                {
                    if (char.ToLowerInvariant(Console.ReadKey(intercept: true).KeyChar) == key)
                    {
                        action();
                    }
                }
            }
        }
        catch (Exception e) when (e is InvalidOperationException or IOException)
        {
            // The terminal is gone; the server is not.
        }
    }

    private static bool IsInForeground() => OperatingSystem.IsWindows() || ForegroundGroup(0) == OwnGroup();

    [DllImport("libc", EntryPoint = "tcgetpgrp")]
    private static extern int ForegroundGroup(int descriptor);

    [DllImport("libc", EntryPoint = "getpgrp")]
    private static extern int OwnGroup();

    private static string Painted(string text, Colour colour) => string.Create(CultureInfo.InvariantCulture, $"\e[{(int)colour}m{text}\e[0m");

    private string Timed(string line) =>
        level == LogLevel.Debug ? string.Create(CultureInfo.InvariantCulture, $"{DateTime.Now:HH:mm:ss.fff} {line}") : line;
}
