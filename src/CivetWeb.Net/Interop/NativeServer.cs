using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace CivetWeb.Net.Interop;

/// <summary>One mg_context: started, listed, stopped once.</summary>
internal sealed unsafe class NativeServer
{
    private readonly nint _owner;
    private mg_context* _context;

    private NativeServer(nint owner, mg_context* context)
    {
        _owner = owner;
        _context = context;
        Ports = ReadPorts(context);
    }

    /// <summary>The ports as they were after the start; CivetWeb may not be asked while it stops.</summary>
    public NativePort[] Ports { get; }

    /// <summary>How many threads the server has: mg_start2 makes do with fewer than it was told to have, even with none that accepts.</summary>
    public int Threads => (int)CwnMethods.cwn_context_threads(_context);

    /// <summary>Whether clients wait for a thread. Not while <see cref="Stop"/> runs.</summary>
    public bool HasWaitingClients => _context != null && CwnMethods.cwn_clients_wait(_context) != 0;

    /// <summary>
    /// Starts a server (<c>mg_start2</c>); null, with the reason, when CivetWeb could not. It overwrites the thread-local data of the
    /// calling thread, so that must not be inside a callback of another server.
    /// </summary>
    /// <param name="owner">Receives every callback until <see cref="Stop"/> has returned.</param>
    /// <param name="callbacks">Which of the optional callbacks are wanted.</param>
    /// <param name="options">CivetWeb's options.</param>
    /// <param name="failure">What CivetWeb says.</param>
    public static NativeServer? TryStart(
        INativeServer owner, NativeCallbacks callbacks, IReadOnlyList<KeyValuePair<string, string>> options, out NativeStartFailure failure)
    {
        const int ErrorTextSize = 1024;
        nint handle = CallbackHandle.Create(owner);
        NativeServer? started = null;
        var strings = new List<nint>();
        failure = default;
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
            mg_context* context = NativeMethods.mg_start2(&init, &error);
            if (context != null)
            {
                return started = new NativeServer(handle, context);
            }

            failure = new NativeStartFailure(error.code, NativeText.FromPointer(text) ?? "");
            return null;
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
                CallbackHandle.Free(handle);
            }
        }
    }

    /// <summary>How many threads more the process can have, up to <paramref name="wanted"/>.</summary>
    public static int TryThreads(int wanted) => (int)CwnMethods.cwn_try_threads((uint)wanted);

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
        CallbackHandle.Free(_owner);
    }

    private static byte* Copy(string text, List<nint> strings)
    {
        byte[] bytes = NativeText.ToBytes(text, "options");
        byte* memory = (byte*)NativeMemory.Alloc((nuint)bytes.Length);
        bytes.CopyTo(new Span<byte>(memory, bytes.Length));
        strings.Add((nint)memory);
        return memory;
    }

    private static NativePort[] ReadPorts(mg_context* context)
    {
        const int MaxPorts = 64;
        mg_server_port* ports = stackalloc mg_server_port[MaxPorts];
        int count = Math.Max(0, NativeMethods.mg_get_server_ports(context, MaxPorts, ports));
        var result = new NativePort[count];
        for (int i = 0; i < count; i++)
        {
            result[i] = new NativePort(ports[i].port, ports[i].is_ssl != 0, ports[i].is_redirect != 0);
        }

        return result;
    }
}
