using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.WebSockets;
using System.Runtime.InteropServices;
using System.Text.Json.Serialization;
using System.Threading;
using System.Threading.Tasks;
using CivetWeb.Net;
using CivetWeb.Net.CallbackApi;
using Microsoft.Extensions.Configuration;

namespace CivetWeb.Net.Tests;

/// <summary>The C# of docs/recipes.md and of the part of docs/server-options.md about configuration; as <see cref="ReadmeExamples"/>.</summary>
internal static partial class RecipeExamples
{
    public static void Broadcast(Context context)
    {
        #region broadcast
        Http.SetWebSocketHandler(
            context,
            "/news",
            connect: (connection, userData) => CallbackResult.Accept,
            ready: null,
            data: (connection, bits, data, userData) =>
            {
                if (bits == WebSocketOpcode.Text)
                {
                    Http.BroadcastToWebSockets(context, "/news", WebSocketOpcode.Text, data);
                }

                return CallbackResult.KeepOpen;
            },
            close: null);
        #endregion
    }

    public static void Rooms(CivetWebServer server)
    {
        #region rooms
        var rooms = new ConcurrentDictionary<string, ConcurrentDictionary<long, ServerWebSocketContext>>();

        server.MapWebSocket("/rooms/{room}", async context =>
        {
            ConcurrentDictionary<long, ServerWebSocketContext> room = rooms.GetOrAdd(context.Route["room"], _ => new());
            room[context.Id] = context;
            try
            {
                await foreach (WebSocketMessage message in context.WebSocket.ReadMessagesAsync(context.Aborted))
                {
                    await Task.WhenAll(room.Values.Select(member => SendAsync(member, message.Data)));
                }
            }
            finally
            {
                room.TryRemove(context.Id, out _);
            }
        });

        // Who is where: {"lobby":2}
        server.MapGet("/rooms", (request, response) => response.WriteJson(
            rooms.ToDictionary(room => room.Key, room => room.Value.Count),
            RecipeJson.Default.DictionaryStringInt32));

        static async Task SendAsync(ServerWebSocketContext member, ReadOnlyMemory<byte> text)
        {
            try
            {
                await member.WebSocket.SendAsync(text, WebSocketMessageType.Text, true, member.Aborted);
            }
            catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException)
            {
                // This member has left in the meantime.
            }
        }
        #endregion
    }

    public static void Rest(CivetWebServer server)
    {
        #region rest
        var notes = new ConcurrentDictionary<int, Note>();
        int lastId = 0;

        server.MapGet("/notes", (request, response) => response.WriteJson([.. notes.Values], RecipeJson.Default.NoteArray));

        server.MapGet("/notes/{id}", (request, response) =>
        {
            if (int.TryParse(request.Route["id"], out int id) && notes.TryGetValue(id, out Note? note))
            {
                response.WriteJson(note, RecipeJson.Default.Note);
            }
            else
            {
                response.StatusCode = 404;
                response.WriteText("There is no such note.\n");
            }
        });

        server.MapPost("/notes", async (request, response) =>
        {
            Note? posted = await request.ReadJsonAsync(RecipeJson.Default.Note);
            if (string.IsNullOrEmpty(posted?.Text))
            {
                throw new BadRequestException("A note has a text.");
            }

            Note note = posted with { Id = Interlocked.Increment(ref lastId) };
            notes[note.Id] = note;
            response.StatusCode = 201;
            response.Headers["Location"] = $"/notes/{note.Id}";
            await response.WriteJsonAsync(note, RecipeJson.Default.Note);
        });

        server.MapDelete("/notes/{id}", (request, response) =>
            response.StatusCode = int.TryParse(request.Route["id"], out int id) && notes.TryRemove(id, out _) ? 204 : 404);
        #endregion
    }

    public static void Site(CivetWebServer server)
    {
        #region site
        server.Use((request, response) => response.Headers["X-Content-Type-Options"] = "nosniff");
        server.MapStaticFiles("/", "wwwroot");
        server.MapError(error =>
        {
            error.Response.ContentType = "text/html; charset=utf-8";
            error.Response.WriteText($"<!DOCTYPE html><title>Error</title><p>Error {error.StatusCode}. <a href=\"/\">Home</a>");
        });
        #endregion
    }

    public static void Upload(CivetWebServer server, string folder)
    {
        #region upload
        server.MapPost("/upload", async (request, response) =>
        {
            request.MaxBodySize = 100_000_000;
            var saved = new List<string>();
            await request.ReadMultipartAsync(async part =>
            {
                if (part.FileName is not null)
                {
                    // Never part.FileName: it is whatever the client says.
                    string name = Path.GetRandomFileName();
                    await using FileStream file = File.Create(Path.Combine(folder, name));
                    await part.Body.CopyToAsync(file);
                    saved.Add(name);
                }
            });
            response.WriteText(string.Join('\n', saved));
        });
        #endregion
    }

    public static CivetWebServerOptions Proxied()
    {
        #region nginx
        var options = new CivetWebServerOptions
        {
            Listen = ["http://127.0.0.1:8080"],
            TrustedProxies = ["127.0.0.1"],   // request.RemoteEndPoint is then the client, not nginx
            AllowedHosts = ["example.org"],   // nginx passes on the Host header
        };
        #endregion
        return options;
    }

    public static CivetWebServerOptions Secure()
    {
        #region tls
        var options = new CivetWebServerOptions
        {
            Listen = ["https://*:443"],
            RedirectToHttps = ["http://*:80"],
            Tls = new TlsOptions { CertificatePath = "fullchain.pem", KeyPath = "privkey.pem" },
        };
        #endregion
        return options;
    }

    public static async Task Signals(CivetWebServer server)
    {
        #region signals
        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true; // do not end the process right now
            stop.TrySetResult();
        }

        using PosixSignalRegistration ctrlC = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        await server.StartAsync();
        await stop.Task;
        await server.StopAsync();
        #endregion
    }

    public static CivetWebServerOptions Configured(IConfiguration configuration)
    {
        #region configuration
        var options = new CivetWebServerOptions();
        configuration.GetSection("Server").Bind(options, binder => binder.ErrorOnUnknownConfiguration = true);
        #endregion
        return options;
    }

    #region recipe-json
    internal sealed record Note(int Id, string Text);

    [JsonSerializable(typeof(Note))]
    [JsonSerializable(typeof(Note[]))]
    [JsonSerializable(typeof(Dictionary<string, int>))]
    internal sealed partial class RecipeJson : JsonSerializerContext;
    #endregion
}
