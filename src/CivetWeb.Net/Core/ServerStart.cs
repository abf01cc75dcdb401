using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using System.Threading;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net.Core;

/// <summary>Starts native servers: with all the threads they need, or not at all, and with a reason that can be acted on.</summary>
internal static class ServerStart
{
    /// <summary>CivetWeb's master thread, which accepts.</summary>
    private const int MasterThreads = 1;

    /// <summary>Starts a server whose callbacks go to <paramref name="host"/>.</summary>
    /// <param name="host">Receives every callback until the server has been stopped.</param>
    /// <param name="callbacks">Which of CivetWeb's optional callbacks are wanted.</param>
    /// <param name="settings">CivetWeb's options, and how many threads they mean.</param>
    /// <param name="startupLog">What CivetWeb has logged since the start began: the reason of a failure is only there.</param>
    /// <exception cref="CivetWebException">CivetWeb could not start, or not with all threads it needs; nothing is left open.</exception>
    public static NativeServer Run(HttpHost host, NativeCallbacks callbacks, ServerSettings settings, StartupLog startupLog)
    {
        // mg_start overwrites the thread-local data of the thread that calls it; inside a callback of another server
        // that thread still needs it.
        if (!CallbackScope.IsActive)
        {
            return RunHere(host, callbacks, settings, startupLog);
        }

        NativeServer? server = null;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                server = RunHere(host, callbacks, settings, startupLog);
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        });
        try
        {
            thread.Start();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            throw ThreadLimits.TooFew(settings.Threads + MasterThreads + 1, 0); // and this one
        }

        thread.Join();
        failure?.Throw();
        return server!;
    }

    /// <summary>Stops a server that <see cref="Run"/> has started.</summary>
    public static void Stop(NativeServer server, ServerSettings settings)
    {
        server.Stop();
        ThreadLimits.Release(settings.Threads + MasterThreads);
    }

    private static NativeServer RunHere(HttpHost host, NativeCallbacks callbacks, ServerSettings settings, StartupLog startupLog)
    {
        int threads = settings.Threads + MasterThreads;
        ThreadLimits.Reserve(threads);
        NativeServer? server = null;
        bool started = false;
        try
        {
            server = NativeServer.TryStart(host, callbacks, settings.NativeOptions, out NativeStartFailure failure);
            if (server is null)
            {
                throw failure.Text.StartsWith("Cannot create first worker thread", StringComparison.Ordinal)
                    ? ThreadLimits.TooFew(threads, 0)
                    : Failure(failure, startupLog.ToString());
            }

            CheckThreads(server, threads);
            started = true;
            return server;
        }
        finally
        {
            if (!started)
            {
                server?.Stop();
                ThreadLimits.Release(threads);
            }
        }
    }

    private static void CheckThreads(NativeServer server, int threads)
    {
        int had = server.Threads;
        if (had < threads)
        {
            throw ThreadLimits.TooFew(threads, had);
        }

        // Without these .NET ends the process as soon as it needs one.
        int more = ThreadLimits.Headroom;
        had += NativeServer.TryThreads(more);
        if (had < threads + more)
        {
            throw ThreadLimits.TooFew(threads + more, had);
        }
    }

    private static Exception Failure(NativeStartFailure failure, string log)
    {
        string message = failure.Text.Length > 0 ? failure.Text : $"CivetWeb could not start (error {(uint)failure.Code}).";

        // Some reasons it logs and returns: one of them is enough.
        log = string.Join("; ", log.Split("; ").Where(part => part != failure.Text).Distinct());
        if (log.Length > 0)
        {
            message = $"{message} CivetWeb says: {log}";
        }

        if (failure.Code == mg_error_data_code.INIT_PORTS_FAILED)
        {
            // The error's number is only in the log line "cannot bind to …: 98 (Address already in use)".
            SocketError? socketError = ErrorNumber(log) switch
            {
                98 or 48 or 10048 => SocketError.AddressAlreadyInUse,
                13 or 10013 => SocketError.AccessDenied,
                99 or 49 or 10049 => SocketError.AddressNotAvailable,
                _ => null,
            };
            if (socketError is SocketError e)
            {
                return new SocketException((int)e, message);
            }
        }

        return failure.Code switch
        {
            mg_error_data_code.INVALID_OPTION or mg_error_data_code.INIT_ACL_FAILED or mg_error_data_code.INVALID_PASS_FILE
                => OptionError.Create(message),
            _ => new CivetWebException(message, (int)failure.Code),
        };
    }

    /// <summary>The number in "…: 98 (…"; 0 without one. An address has colons too.</summary>
    private static int ErrorNumber(string log)
    {
        for (int colon = log.IndexOf(": ", StringComparison.Ordinal); colon >= 0; colon = log.IndexOf(": ", colon + 1, StringComparison.Ordinal))
        {
            ReadOnlySpan<char> rest = log.AsSpan(colon + 2);
            int end = rest.IndexOf(" (", StringComparison.Ordinal);
            if (end > 0 && int.TryParse(rest[..end], NumberStyles.None, CultureInfo.InvariantCulture, out int number))
            {
                return number;
            }
        }

        return 0;
    }
}
