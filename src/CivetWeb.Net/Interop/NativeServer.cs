using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using CivetWeb.Net.CallbackApi;
using CivetWeb.Net.Core;

namespace CivetWeb.Net.Interop;

/// <summary>One mg_context: started, listed, stopped once.</summary>
internal sealed unsafe class NativeServer
{
    private readonly nint _owner;
    private readonly int _threads;
    private mg_context* _context;

    private NativeServer(nint owner, mg_context* context, int threads)
    {
        _owner = owner;
        _context = context;
        _threads = threads;
        Ports = ReadPorts(context);
    }

    /// <summary>The ports as they were after the start; CivetWeb may not be asked while it stops.</summary>
    public IReadOnlyList<ServerPort> Ports { get; }

    /// <summary>Starts a server whose callbacks go to <paramref name="owner"/>.</summary>
    /// <param name="owner">Receives every callback until <see cref="Stop"/> has returned.</param>
    /// <param name="callbacks">Which of CivetWeb's callbacks are wanted.</param>
    /// <param name="settings">CivetWeb's options, and how many threads they mean.</param>
    /// <param name="startLog">What CivetWeb has logged since the start began: the reason of a failure is only there.</param>
    /// <exception cref="CivetWebException">CivetWeb could not start, or not with all threads it needs; nothing is left open.</exception>
    public static NativeServer Start(Context owner, Callbacks callbacks, ServerSettings settings, Func<string> startLog)
    {
        // mg_start overwrites the thread-local data of the thread that calls it; inside a callback of another server
        // that thread still needs it.
        if (!CallbackScope.IsActive)
        {
            return StartHere(owner, callbacks, settings, startLog);
        }

        NativeServer? server = null;
        System.Runtime.ExceptionServices.ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                server = StartHere(owner, callbacks, settings, startLog);
            }
            catch (Exception e)
            {
                failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
            }
        });
        try
        {
            thread.Start();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            throw ThreadLimits.TooFew(settings.Threads + 2, 0); // the master thread, and this one
        }

        thread.Join();
        failure?.Throw();
        return server!;
    }

    /// <summary>Whether clients wait for a thread. Not while <see cref="Stop"/> runs.</summary>
    public bool HasWaitingClients => _context != null && CwnMethods.cwn_clients_wait(_context) != 0;

    /// <summary>mg_stop: returns when the last callback has. Once, never from a callback.</summary>
    public void Stop()
    {
        mg_context* context = _context;
        if (context == null)
        {
            return;
        }

        _context = null;
        CwnMethods.cwn_stop(context);
        Pin.Free(_owner);
        ThreadLimits.Release(_threads);
    }

    private static NativeServer StartHere(Context owner, Callbacks callbacks, ServerSettings settings, Func<string> startLog)
    {
        const int ErrorTextSize = 1024;
        IReadOnlyList<KeyValuePair<string, string>> options = settings.NativeOptions;
        int threads = settings.Threads + 1; // and CivetWeb's master, which accepts
        ThreadLimits.Reserve(threads);
        nint handle = Pin.Create(owner);
        NativeServer? started = null;
        var strings = new List<nint>();
        mg_context* context = null;
        try
        {
            byte** pairs = stackalloc byte*[options.Count * 2 + 1];
            int n = 0;
            foreach ((string name, string value) in options)
            {
                pairs[n++] = Copy(name, strings);
                pairs[n++] = Copy(value, strings);
            }

            pairs[n] = null;

            mg_callbacks native = Trampolines.Create(callbacks);
            var init = new mg_init_data
            {
                callbacks = &native,
                user_data = (void*)handle,
                configuration_options = pairs,
            };
            byte* text = stackalloc byte[ErrorTextSize];
            text[0] = 0;
            var error = new mg_error_data { text = text, text_buffer_size = ErrorTextSize };
            context = NativeMethods.mg_start2(&init, &error);
            if (context == null)
            {
                string reason = NativeText.FromPointer(text) ?? "";
                throw reason.StartsWith("Cannot create first worker thread", StringComparison.Ordinal)
                    ? ThreadLimits.TooFew(threads, 0)
                    : Failure(error.code, reason, startLog());
            }

            CheckThreads(context, threads);
            return started = new NativeServer(handle, context, threads);
        }
        finally
        {
            // CivetWeb has copied the options and the callback table.
            foreach (nint pointer in strings)
            {
                NativeMemory.Free((void*)pointer);
            }

            if (started is null)
            {
                if (context != null)
                {
                    CwnMethods.cwn_stop(context);
                }

                Pin.Free(handle);
                ThreadLimits.Release(threads);
            }
        }
    }

    /// <summary>mg_start2 makes do with fewer threads than it was told to have, even with none that accepts.</summary>
    private static void CheckThreads(mg_context* context, int threads)
    {
        int had = (int)CwnMethods.cwn_context_threads(context);
        if (had < threads)
        {
            throw ThreadLimits.TooFew(threads, had);
        }

        // Without these .NET ends the process as soon as it needs one.
        int more = ThreadLimits.Headroom;
        had += (int)CwnMethods.cwn_try_threads((uint)more);
        if (had < threads + more)
        {
            throw ThreadLimits.TooFew(threads + more, had);
        }
    }

    private static byte* Copy(string text, List<nint> strings)
    {
        byte[] bytes = NativeText.ToBytes(text, "options");
        byte* memory = (byte*)NativeMemory.Alloc((nuint)bytes.Length);
        bytes.CopyTo(new Span<byte>(memory, bytes.Length));
        strings.Add((nint)memory);
        return memory;
    }

    private static Exception Failure(mg_error_data_code code, string text, string log)
    {
        string message = text.Length > 0 ? text : $"CivetWeb could not start (error {(uint)code}).";

        // Some reasons it logs and returns: one of them is enough.
        log = string.Join("; ", log.Split("; ").Where(part => part != text).Distinct());
        if (log.Length > 0)
        {
            message = $"{message} CivetWeb says: {log}";
        }

        if (code == mg_error_data_code.INIT_PORTS_FAILED)
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

        return code switch
        {
            mg_error_data_code.INVALID_OPTION or mg_error_data_code.INIT_ACL_FAILED or mg_error_data_code.INVALID_PASS_FILE
                => OptionError.Create(message),
            _ => new CivetWebException(message, (int)code),
        };
    }

    private static ServerPort[] ReadPorts(mg_context* context)
    {
        const int Most = 64;
        mg_server_port* ports = stackalloc mg_server_port[Most];
        int count = Math.Max(0, NativeMethods.mg_get_server_ports(context, Most, ports));
        var result = new ServerPort[count];
        for (int i = 0; i < count; i++)
        {
            result[i] = new ServerPort(ports[i].port, ports[i].is_ssl != 0, ports[i].is_redirect != 0);
        }

        return result;
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
